import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { pictures, sampling, loading, startRig, type Posted, type Rig } from './rigs/test-rig.ts';

/**
 * Texts that clients match on, byte for byte: those of the Python worker (docs/switching.md), and the beginnings of those
 * that came later. Each row runs a job through the whole line. A row may be added; a text may be changed only together
 * with a notice to clients.
 */

/** Where a text is found in what is posted. */
type Place = 'error' | 'details' | 'errors' | 'body';

type Row = readonly [
  text: string | RegExp,
  place: Place,
  situation: string,
  input: unknown,
  breakComfy?: (rig: Rig) => () => unknown,
];

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
const image = (changes: object) => ({
  workflow: pictures(),
  images: [{ name: 'a.png', image: PNG, ...changes }],
});
const failing = {
  ...pictures(),
  '2': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } },
  '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'x' } },
};
const previewing = {
  ...pictures(),
  '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
};
const silent = {
  '1': pictures()['1'],
  '2': { class_type: 'ProbeSilent', inputs: { image: ['1', 0] } },
};
const checkpoint = {
  '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'nope.safetensors' } },
  '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
  '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
  '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'x' } },
};

const ROWS: readonly Row[] = [
  // The input, checked before ComfyUI is asked anything.
  ['Please provide input', 'error', 'no input', null],
  ['Invalid JSON format in input', 'error', 'a string that is not JSON', '{oops'],
  ['Invalid JSON format in input', 'error', 'an input that is not an object', [1]],
  ["Missing 'workflow' parameter", 'error', 'no workflow', {}],
  [
    "'images' must be a list of objects with 'name' and 'image' keys",
    'error',
    'images without names',
    { workflow: {}, images: [{ image: PNG }] },
  ],
  // Input images.
  [
    'Failed to upload one or more input images',
    'error',
    'an image that is not base64',
    image({ image: '!' }),
  ],
  [
    /^Error decoding base64 for a\.png: Character "!"/,
    'details',
    'an image that is not base64',
    image({ image: '!' }),
  ],
  [
    /^Error decoding base64 for a\.png: Incorrect padding/,
    'details',
    'base64 that is cut off',
    image({ image: 'abc' }),
  ],
  [
    /^Unexpected error uploading a\.png: /,
    'details',
    'an image that is null',
    image({ image: null }),
  ],
  [/^Unexpected error uploading 5: /, 'details', 'a name that is a number', image({ name: 5 })],
  [
    'Error uploading ../x.png: 400 Client Error: Bad Request for url: COMFY/upload/image',
    'details',
    'a name ComfyUI refuses',
    image({ name: '../x.png' }),
  ],
  [
    /^Error downloading a\.png: \[GET\] http:\/\/127\.0\.0\.1:1\/a\.png: the host is not on the public internet/,
    'details',
    'a URL on a private network',
    { workflow: pictures(), files: [{ name: 'a.png', url: 'http://u:p@127.0.0.1:1/a.png?sig=s' }] },
  ],
  // Queueing.
  [
    /^Prompt has no outputs/,
    'error',
    'a workflow without output nodes',
    { workflow: { '1': pictures()['1'] } },
  ],
  [/^Prompt has no outputs/, 'error', 'an empty workflow', { workflow: {} }],
  [
    /^Cannot execute because node Nope does not exist/,
    'error',
    'a node class ComfyUI does not have',
    { workflow: { ...pictures(), '5': { class_type: 'Nope', inputs: {} } } },
  ],
  [
    /^Workflow validation failed:\n• Node 4 \(CheckpointLoaderSimple\): .*\n\nAvailable checkpoint models: sdxl\.safetensors$/s,
    'error',
    'a checkpoint that is not there',
    { workflow: checkpoint },
  ],
  [
    /^Workflow validation failed:\n• Node 1 \(EmptyImage\): width 0 is below the minimum/,
    'error',
    'a value out of range',
    { workflow: pictures({ size: 0 }) },
  ],
  [
    'Error queuing workflow: 500 Server Error: Internal Server Error for url: COMFY/prompt',
    'error',
    'ComfyUI answers 500 to the prompt',
    { workflow: pictures() },
    ({ comfy }) => comfy.faults.failAnswers({ request: 'POST /prompt', how: 'refuse', times: 9 }),
  ],
  [
    'Error queuing workflow: 413 Client Error: Payload Too Large for url: COMFY/prompt',
    'error',
    'ComfyUI finds the prompt too large',
    { workflow: pictures() },
    ({ comfy }) =>
      comfy.faults.failAnswers({ request: 'POST /prompt', how: 'refuse', status: 413 }),
  ],
  // Execution.
  [
    'Workflow execution error: Node Type: ProbeFail, Node ID: 2, Message: boom\n',
    'details',
    'a node that raises',
    { workflow: failing },
  ],
  ['Job processing failed', 'error', 'a node that raises', { workflow: failing }],
  [
    'Workflow execution error: Node Type: ProbeFail, Node ID: 2, Message: boom\n',
    'errors',
    'a node that raises beside one that saves',
    {
      workflow: {
        ...failing,
        '9': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'kept' } },
      },
    },
  ],
  // Outputs.
  [
    '{"output":{"status":"success_no_images","images":[]}}',
    'body',
    'a workflow that only previews',
    { workflow: previewing },
  ],
  [
    /^No outputs found in history for prompt [0-9a-f-]{36}\.$/,
    'details',
    'a workflow that shows nothing',
    { workflow: silent },
  ],
  [
    /^Failed to fetch image data for T_\d+_\.png from \/view endpoint\. \(?/,
    'details',
    'an image ComfyUI does not hand out',
    { workflow: pictures({ color: 7 }) },
    ({ comfy }) =>
      comfy.faults.failAnswers({ request: 'GET /view', how: 'refuse', status: 404, times: 9 }),
  ],
  // Later texts, by code.
  [
    /^output\.delivery is "put", but there is no URL to put files to: name them in output\.put$/,
    'error',
    'output.no_destination',
    { workflow: pictures(), output: { delivery: 'put' } },
  ],
  [
    /^output\.nodes asks for "77", which is neither the id nor the title of a node/,
    'error',
    'output.node_unknown',
    { workflow: pictures(), output: { nodes: ['77'] } },
  ],
  [
    /^input\.output\.convert\.quality: /,
    'error',
    'input.invalid',
    { workflow: pictures(), output: { convert: { quality: 0 } } },
  ],
  [
    /^Expected input\.workflow to be a workflow, got the text "portrait"/,
    'error',
    'workflow.name_unknown',
    { workflow: 'portrait' },
  ],
  [
    /^input\.output\.azure\.url: 127\.0\.0\.1:1 is not on the public internet/,
    'error',
    'a store on a private network',
    { workflow: pictures(), output: { azure: { url: 'http://127.0.0.1:1/c?sig=s' } } },
  ],
  [
    /^Error uploading T_\d+_\.png to output\.http: \[PUT\] http:\/\/127\.0\.0\.1:1\/T_\d+_\.png: the host is not on the public internet/,
    'errors',
    'storage.upload_failed: the file comes back as base64',
    {
      workflow: pictures({ color: 8 }),
      output: { http: { urlPrefix: 'http://u:p@127.0.0.1:1/?sig=s' } },
    },
  ],
];

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    comfy: { models: { checkpoints: ['sdxl.safetensors'] } },
    environment: { DOWNLOAD_RETRIES: '0' },
  });
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
});

const cases = ROWS.map(
  ([text, place, situation, input, breakComfy]) =>
    [String(text).trim(), situation, { text, place, input, breakComfy }] as const,
);

test.each(cases)('%s <- %s', async (_text, _situation, { text, place, input, breakComfy }) => {
  const repair = breakComfy?.(rig);
  const { bodyText } = await rig.platform.result(rig.platform.submit(input));
  repair?.();
  const { error, output } = JSON.parse(bodyText) as Posted;
  const found = {
    error: [error],
    details: output?.details,
    errors: output?.errors,
    body: [bodyText],
  };
  const expected =
    typeof text === 'string' ? text.replace('COMFY', rig.comfy.url) : expect.stringMatching(text);
  expect(found[place]).toContainEqual(expected);
});

test('ComfyUI server (...) not reachable after multiple retries. <- ComfyUI is down', async () => {
  await using down = await startRig({ environment: { COMFY_API_AVAILABLE_MAX_RETRIES: '2' } });
  await down.comfy.faults.die();
  const { host } = new URL(down.comfy.url);
  expect((await down.run({ workflow: pictures() })).error).toBe(
    `ComfyUI server (${host}) not reachable after multiple retries.`,
  );
});

test('WebSocket communication error: Handshake status 404 <- ComfyUI refuses websockets', async () => {
  await using refusing = await startRig({ environment: { WEBSOCKET_RECONNECT_ATTEMPTS: '1' } });
  refusing.comfy.faults.refuseSockets(404);
  expect((await refusing.run({ workflow: pictures() })).error).toBe(
    'WebSocket communication error: Handshake status 404 Refused',
  );
});

test('Connection closed and failed to reconnect <- the websocket is lost for good', async () => {
  await using lost = await startRig({
    comfy: { speed: 1 },
    environment: { WEBSOCKET_RECONNECT_ATTEMPTS: '1' },
  });
  const jobId = lost.platform.submit({ workflow: sampling({ steps: 100, stepMs: 20 }) });
  await lost.comfy.waitFor({ type: 'progress' });
  lost.comfy.faults.refuseSockets(404);
  await lost.comfy.faults.breakSockets('close');
  expect((await lost.posted(jobId)).error).toBe(
    'WebSocket communication error: Connection closed and failed to reconnect. Last error: Handshake status 404 Refused',
  );
});

test('Workflow execution interrupted <- somebody interrupts the prompt', async () => {
  await using slow = await startRig({ comfy: { speed: 1 } });
  const jobId = slow.platform.submit({ workflow: sampling({ steps: 500, stepMs: 20 }) });
  await slow.comfy.waitFor({ type: 'progress' });
  await fetch(`${slow.comfy.url}/interrupt`, { method: 'POST', body: '{}' });
  expect((await slow.posted(jobId)).error).toBe(
    'Workflow execution interrupted: Node Type: ProbeSampler, Node ID: 2',
  );
});

test('Job took longer than <- the time of a job is up', async () => {
  await using slow = await startRig({ comfy: { speed: 1 } });
  const { error } = await slow.run(
    { workflow: sampling({ steps: 500, stepMs: 20 }) },
    { policy: { executionTimeout: 200 } },
  );
  expect(error).toMatch(/^Job took longer than 0\.2 s/);
});

test('RESULT_MAX_BYTES allows <- the result is too large', async () => {
  await using narrow = await startRig({ environment: { RESULT_MAX_BYTES: '2000' } });
  const { error } = await narrow.run({
    workflow: { ...sampling(), '1': pictures({ size: 128 })['1'] },
  });
  expect(error).toMatch(
    /^The result has more than [\d,]+ bytes of JSON, and RESULT_MAX_BYTES allows 2,000 bytes; set BUCKET_ENDPOINT_URL/,
  );
});

test('Timeout uploading a.png <- ComfyUI does not answer an upload in time', async () => {
  await using slow = await startRig({ environment: { COMFY_REQUEST_TIMEOUT_S: '1' } });
  const end = slow.comfy.faults.failAnswers({
    request: 'POST /upload/image',
    how: 'delay',
    delayMs: 60_000,
    times: 9,
  });
  const { error, output } = await slow.run(image({}));
  end();
  expect(error).toBe('Failed to upload one or more input images');
  expect(output?.details).toEqual(['Timeout uploading a.png']);
});

test('Invalid image file <- a workflow loads an image nobody sent', async () => {
  expect((await rig.run({ workflow: loading('nope.png') })).error).toMatch(
    /^Workflow validation failed:\n• Node 1 \(LoadImage\): .*nope\.png/,
  );
});
