import { PassThrough } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from '@jest/globals';
import { createLog, jobLog, type LogOptions } from './log.ts';

async function recordedLog(options: Partial<LogOptions> = {}) {
  const stream = new PassThrough({ encoding: 'utf8' });
  const log = await createLog({ level: 'info', format: 'json', destination: stream, ...options });
  const text = () => (stream.read() as string | null) ?? '';
  const lines = () =>
    text()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { log, text, lines };
}

test('W57: on RunPod a line is one JSON object with requestId, level and message', async () => {
  const { log, text } = await recordedLog();
  jobLog(log, { jobId: 'j1' }).warn({ ms: 5 }, 'Slow\nanswer of %s', 'ComfyUI');
  const written = text();
  expect(written.match(/\n/g)).toHaveLength(1);
  expect(JSON.parse(written)).toEqual({
    requestId: 'j1',
    level: 'WARN',
    message: 'Slow\nanswer of ComfyUI',
    ms: 5,
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  });
});

test('W57: a line of no job has the key too, and no line has it twice', async () => {
  const { log, text, lines } = await recordedLog();
  log.info('Started');
  log.child({ part: 'comfy' }).info('Ready');
  expect(lines().map(({ requestId }) => requestId)).toEqual([null, null]);
  jobLog(log, { jobId: 'j1' }).child({ promptId: 'p1' }).info('Queued');
  expect(text().match(/requestId/g)).toHaveLength(1);
});

test('W58: lines of a job in a batch begin with the batch', async () => {
  const { log, lines } = await recordedLog();
  const batched = jobLog(log, { jobId: 'j1', batchId: 'b7' });
  batched.info('Started.');
  batched.child({ promptId: 'p1' }).error('Broken.');
  jobLog(log, { jobId: 'j2' }).info('Alone.');
  expect(lines().map(({ message }) => message)).toEqual([
    '[batchId=b7] Started.',
    '[batchId=b7] Broken.',
    'Alone.',
  ]);
});

test('W59: of a message of 5000 characters 4096 are kept, head and tail, and the cut is noted', async () => {
  const { log, lines } = await recordedLog();
  log.info('a'.repeat(2048) + 'x'.repeat(904) + 'z'.repeat(2048));
  log.info('%s', 'b'.repeat(5000));
  log.info('c'.repeat(4096));
  const [cut, filledIn, whole] = lines().map(({ message }) => message as string);
  expect(cut).toBe(`${'a'.repeat(2048)} [... 904 characters left out ...] ${'z'.repeat(2048)}`);
  expect(filledIn).toContain('904 characters left out');
  expect(whole).toBe('c'.repeat(4096));
});

test('W59: the message and stack of a logged error are cut as well', async () => {
  const { log, lines } = await recordedLog();
  const error = new Error('e'.repeat(50_000));
  log.error({ err: error }, 'Job failed');
  log.error(error);
  for (const line of lines()) expect(JSON.stringify(line).length).toBeLessThan(15_000);
});

test.each(['reason', 'error'])(
  'a %s that quotes megabytes of a job is cut as well',
  async (field) => {
    const { log, lines } = await recordedLog();
    log.warn({ [field]: 'node ppp'.repeat(1_000_000) }, 'Job failed');
    expect(JSON.stringify(lines()).length).toBeLessThan(5000);
  },
);

test('secrets are not written, wherever they hang', async () => {
  const { log, text } = await recordedLog();
  const secret = 'rpa_TOPSECRET';
  log.info({ authorization: secret, headers: { authorization: secret } }, 'Asked');
  log.info({ job: { s3Config: { accessSecret: secret } } }, 'Taken');
  log.child({ apiKey: secret }).info({ extra: { api_key_comfy_org: secret } }, 'Sent');
  const written = text();
  expect(written).not.toContain('TOPSECRET');
  expect(written.match(/\[redacted\]/g)).toHaveLength(5);
});

test('levels below the set one are silent, and silent is silent', async () => {
  const quiet = await recordedLog({ level: 'warn' });
  quiet.log.info('no');
  quiet.log.warn('yes');
  expect(quiet.lines()).toHaveLength(1);
  const silent = await recordedLog({ level: 'silent' });
  silent.log.fatal('no');
  expect(silent.text()).toBe('');
});

test('on a terminal a line can be read by people', async () => {
  const { log, text } = await recordedLog({ format: 'pretty' });
  jobLog(log, { jobId: 'j1', batchId: 'b7' }).info({ images: 2 }, 'Inputs staged');
  log.warn('Slow');
  const [first, fields, second] = stripVTControlCharacters(text()).split('\n');
  expect(first).toMatch(/^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: j1 \| \[batchId=b7\] Inputs staged$/);
  expect(fields).toBe('    images: 2');
  expect(second).toMatch(/WARN: Slow$/);
});

/** As a job id, and as the id of a batch. */
const FORGERY = 'j1\n[12:00:00.000] INFO: forged\r\u2028\u001b[2K\u009b1A';

test.each(['json', 'pretty'] as const)(
  'a job id with line breaks and other control characters begins no line of a %s log',
  async (format) => {
    const { log, text } = await recordedLog({ format });
    const jobs = jobLog(log, { jobId: FORGERY, batchId: FORGERY });
    jobs.info('Started.');
    jobs.warn({ reason: `Job ${FORGERY} was stopped` }, 'Job failed');
    jobs.error({ err: new Error(`Job ${FORGERY} was stopped`) }, 'The handler threw');
    const lines = stripVTControlCharacters(text()).split('\n');
    const forged = lines.filter((line) => line.startsWith('[12:00:00.000] INFO: forged'));
    expect(forged).toEqual([]);
    const own = lines.filter((line) => /^(\{|\[\d)/.test(line));
    expect(own).toHaveLength(3);
  },
);

test('the further lines of a readable message are indented', async () => {
  const { log, text } = await recordedLog({ format: 'pretty' });
  log.info('Two problems:\nfirst\nsecond');
  expect(stripVTControlCharacters(text())).toMatch(/Two problems:\n {4}first\n {4}second\n$/);
});
