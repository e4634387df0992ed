import { expect, test } from '@jest/globals';
import { request } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import type { Job } from '../queues/queue.ts';
import { Gate } from '../worker/test-worker.ts';
import { startTestApi, until } from './test-api.ts';

const echo = (job: Job) => ({ got: job.input.value() });
const MB = 1024 * 1024;
const kind = (job: Job) => ({ kind: job.input.kind });

test.each([
  ['', 'Expected a body of JSON'],
  ['{"input":', 'Expected a body of JSON'],
  ['[1]', 'value of kind array'],
  ['"text"', 'value of kind string'],
  ['{"prompt":"x"}', 'the body has "prompt"'],
  ['{}', 'no keys'],
  ['{"input":null}', 'that is not null'],
  ['{"workflow":{},"images":[]}', 'the body has "workflow", "images"; if it is a workflow'],
  ['{"prompt":{},"client_id":"a"}', 'send it as {"input": ...}'],
  ['{"input":1,"webhook":"no url"}', 'webhook: '],
  ['{"input":1,"webhook":"ftp://x"}', 'webhook: '],
  ['{"input":1,"webhookV2":"https://x/"}', 'webhookV2 is not supported'],
  ['{"input":1,"policy":{"executionTimeout":1}}', 'policy.executionTimeout: '],
  ['{"input":1,"policy":{"ttl":"long"}}', 'policy.ttl: '],
  ['{"input":1,"policy":7}', 'policy: '],
])('a body of %j is 400 with what is wrong', async (text, problem) => {
  await using api = await startTestApi({ handler: echo });
  const { status, headers, body } = await api.call('/run', { text });
  expect([status, headers.get('content-type')]).toEqual([400, 'application/json; charset=utf-8']);
  expect(body.error).toContain(problem);
});

test.each([[[]], ['string'], [''], [false], [{ accessId: 'string' }]])(
  'an s3Config of %j does not refuse the request: the worker judges it',
  async (s3Config) => {
    await using api = await startTestApi({ handler: echo });
    expect((await api.ended(await api.run(1, { s3Config }))).status).toBe('COMPLETED');
  },
);

test('unknown fields, and empty ones, are ignored', async () => {
  await using api = await startTestApi({ handler: echo });
  const extras = { timeout: 5, webhook: '', policy: { executionTimeout: 0 }, s3Config: null };
  expect((await api.ended(await api.run(1, extras))).status).toBe('COMPLETED');
  const unset = { policy: null, webhook: null, webhookV2: null };
  expect((await api.ended(await api.run(1, unset))).status).toBe('COMPLETED');
});

test.each([
  ['text', 'string'],
  [[1, 2], 'array'],
  [3.5, 'number'],
  [false, 'boolean'],
  [{}, 'object'],
])('an input of %j is accepted', async (input, expected) => {
  await using api = await startTestApi({ handler: kind });
  expect((await api.ended(await api.run(input))).output).toEqual({ kind: expected });
});

test.each([
  undefined,
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'text/plain',
  'application/octet-stream',
])('a body with content type %s is read as JSON', async (contentType) => {
  await using api = await startTestApi({ handler: echo });
  const { status, text } = await post(`${api.url}/runsync`, '{"input":"ä"}', contentType);
  expect(status).toBe(200);
  expect(text).toContain('"output":{"got":"ä"}');
});

test('a byte order mark before the JSON is no reason to refuse it', async () => {
  await using api = await startTestApi({ handler: echo });
  expect((await api.call('/runsync', { text: '\uFEFF{"input":1}' })).status).toBe(200);
});

test('a compressed body is read, and its limit is that of its content', async () => {
  await using api = await startTestApi({ handler: echo });
  const send = (text: string) =>
    fetch(`${api.url}/runsync`, {
      method: 'POST',
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync(text),
    });
  const read = await send('{"input":"ä"}');
  expect([read.status, await read.json()]).toMatchObject([200, { output: { got: 'ä' } }]);
  const tooLarge = await send(`{"input":"${'x'.repeat(21 * MB)}"}`);
  expect([tooLarge.status, await tooLarge.json()]).toEqual([
    413,
    { error: expect.stringContaining('The body is larger than') },
  ]);
});

test('a body in UTF-16 and a form are 400 with what to send', async () => {
  await using api = await startTestApi({ handler: echo });
  const form = new FormData();
  form.append('input', '{}');
  for (const body of [Buffer.from('{"input":1}', 'utf16le'), form]) {
    const answer = await fetch(`${api.url}/run`, { method: 'POST', body });
    expect([answer.status, await answer.json()]).toEqual([
      400,
      { error: expect.stringMatching(/^The body is .*send JSON/) },
    ]);
  }
});

test('a client whose base URL has slashes too many is served', async () => {
  await using api = await startTestApi({ handler: echo });
  const { body } = await api.call('//v2//ep/runsync', { body: { input: 1 } });
  expect(body).toMatchObject({ status: 'COMPLETED' });
  expect((await api.call('//v2/ep//health')).status).toBe(200);
});

test('the input reaches the handler character for character', async () => {
  const input = '{"12":{"seed":18446744073709551615, "weight":1.0,"e":1e3},\n "3":"\\u00e4/"}';
  await using api = await startTestApi({ handler: (job) => ({ text: job.input.text }) });
  const { body } = await api.call('/runsync', { text: `{"input":${input}}` });
  expect(body.output).toEqual({ text: input });
});

test('the policy and the bucket of a request reach the handler', async () => {
  await using api = await startTestApi({
    handler: (job) => ({ s3: job.source.get('s3Config')?.value() }),
  });
  const s3Config = { accessId: 'a', accessSecret: 's', bucketName: 'b', endpointUrl: 'http://e' };
  const ended = await api.ended(await api.run(1, { s3Config }));
  expect(ended.output).toEqual({ s3: s3Config });
  expect(ended).not.toHaveProperty('s3Config');
});

test.each([
  ['/run', 9, 200],
  ['/run', 11, 413],
  ['/runsync', 19, 200],
  ['/runsync', 21, 413],
  ['/run', 100, 413],
])('%s takes a body of %i MB with %i', async (path, size, expected) => {
  await using api = await startTestApi({ handler: () => 'ok' });
  const text = `{"input":"${'x'.repeat(size * MB)}"}`;
  const { status, body } = await api.call(path, { text });
  expect(status).toBe(expected);
  if (expected === 413) expect(body.error).toContain('The body is larger than');
});

test('a body that does not say its length is refused when it grows too large', async () => {
  await using api = await startTestApi({ handler: echo });
  let sent = 0;
  const body = new ReadableStream({
    pull: (controller) => {
      if (++sent > 30) controller.close();
      else controller.enqueue(new TextEncoder().encode('x'.repeat(MB)));
    },
  });
  const init: RequestInit = { method: 'POST', body, duplex: 'half' };
  expect((await fetch(`${api.url}/run`, init)).status).toBe(413);
});

test('after a refused body the connection goes on', async () => {
  await using api = await startTestApi({ handler: echo });
  await api.call('/run', { text: 'x'.repeat(11 * MB) });
  expect((await api.call('/runsync', { body: { input: 1 } })).status).toBe(200);
});

test('a full queue answers 429 with Retry-After, and takes jobs again when there is room', async () => {
  const gate = new Gate();
  await using api = await startTestApi({ handler: gate.handler, capacity: 1 });
  const first = await api.run(1);
  const refused = await api.call('/run', { body: { input: 2 } });
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
  expect(refused.body.error).toContain('queue is full');
  await gate.finish(first);
  await api.ended(first);
  const second = await api.run(2);
  await gate.finish(second);
  expect((await api.ended(second)).status).toBe('COMPLETED');
});

test('limits of rate are off by default, and those of the platform when turned on', async () => {
  await using open = await startTestApi({ handler: echo });
  for (let count = 0; count < 5; count++) {
    expect((await open.call('/purge-queue', { method: 'POST' })).status).toBe(200);
  }
  await using api = await startTestApi({
    handler: echo,
    environment: { API_RATE_LIMITS: 'true' },
  });
  const purge = (prefix: string) => api.call(`${prefix}/purge-queue`, { method: 'POST' });
  expect((await purge('')).status).toBe(200);
  expect((await purge('/v2/ep')).status).toBe(200);
  const refused = await purge('');
  expect(refused.status).toBe(429);
  expect(refused.body.error).toContain('more than 2 requests in 10 s');
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await api.call('/runsync', { body: { input: 1 } })).status).toBe(200);
  expect((await api.call('/health')).status).toBe(200);
});

test('unknown paths and methods are 404 with an error in JSON', async () => {
  await using api = await startTestApi({ handler: echo });
  for (const path of ['/nothing', '/v2/ep/nothing', '/run', '/v2/ep/%00', '/page/../config.ts']) {
    const { status, body } = await api.call(path);
    expect([path, status, typeof body.error]).toEqual([path, 404, 'string']);
  }
});

test('a URL that cannot be read is 400 in JSON', async () => {
  await using api = await startTestApi({ handler: echo });
  const { status, body } = await api.call('/status/%zz');
  expect([status, body]).toEqual([400, { error: expect.stringContaining('%zz') }]);
});

test('an id that is far too long is answered like every error, and not repeated whole', async () => {
  await using api = await startTestApi({ handler: echo });
  const { status, body } = await api.call(`/status/${'x'.repeat(5000)}`);
  expect([status, Object.keys(body)]).toEqual([414, ['error']]);
  expect(body.error?.length).toBeLessThan(3000);
});

test('bodies that are still being sent cannot fill the memory together', async () => {
  const environment = { API_MAX_RECORD_BYTES: '1000000' };
  await using api = await startTestApi({ handler: echo, environment });
  const startSlow = () => {
    const sending = request(`${api.url}/run`, { method: 'POST' }).on('error', () => undefined);
    // When it is the slow one that came too late and was refused, another takes its place.
    sending.on('response', (answer) => {
      answer.resume();
      slow = startSlow();
    });
    sending.write('x'.repeat(900_000));
    return sending;
  };
  let slow = startSlow();
  const send = () => api.call('/run', { text: `{"input":"${'x'.repeat(200_000)}"}` });

  let refused = await send();
  while (refused.status === 200) refused = await send(); // the slow one is not read yet
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '5']);
  expect(refused.body.error).toContain('too much is being sent');

  slow.destroy();
  await until(async () => (await send()).status === 200);
});

interface Plain {
  readonly status: number | undefined;
  readonly text: string;
}

/** A request as bare as it gets: `fetch` adds a content type of its own. */
function post(url: string, body: string, contentType?: string): Promise<Plain> {
  return new Promise((resolve, reject) => {
    const headers = contentType === undefined ? {} : { 'content-type': contentType };
    const sent = request(url, { method: 'POST', headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('a body of unknown length that is refused is read to its end, and the connection goes on', async () => {
  await using api = await startTestApi({ handler: echo });
  const { hostname, port } = new URL(api.url);
  const socket = connect(Number(port), hostname);
  socket.write('POST /run HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n');
  for (let sent = 0; sent < 15; sent++) {
    socket.write(`${MB.toString(16)}\r\n${'x'.repeat(MB)}\r\n`);
  }
  socket.write('0\r\n\r\nGET /ping HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n');
  const answers = Buffer.concat(await socket.toArray()).toString();
  expect(answers.match(/HTTP\/1.1 \d+/g)).toEqual(['HTTP/1.1 413', 'HTTP/1.1 200']);
});

test.each(['garbage', ';;;', 'a b', 'application/json, application/json'])(
  'a content type of %j does not matter either',
  async (contentType) => {
    await using api = await startTestApi({ handler: echo });
    expect((await post(`${api.url}/runsync`, '{"input":1}', contentType)).status).toBe(200);
  },
);

test('a policy larger than any can be is refused without being read', async () => {
  await using api = await startTestApi({ handler: echo });
  const policy = { x: 'x'.repeat(30_000) };
  const { status, body } = await api.call('/run', { body: { input: 1, policy } });
  expect([status, body.error]).toEqual([400, expect.stringContaining('policy: expected at most')]);
});
