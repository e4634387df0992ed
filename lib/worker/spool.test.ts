import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { systemClock } from '../clock.ts';
import { Base64, toText } from '../json-body.ts';
import { toJobError, type JobResult } from '../queues/queue.ts';
import { encodeResult } from './encode-result.ts';
import { Spool } from './spool.ts';
import { createTestLog } from './test-worker.ts';

test.each<[string, JobResult]>([
  ['with an output', { output: { images: [{ data: new Base64(Buffer.from('picture')) }] } }],
  ['with an output of null', { output: null }],
  ['that failed', { error: toJobError('comfy.silent', 'ComfyUI is "silent"') }],
  [
    'whose handler threw',
    {
      error: {
        ...toJobError('worker.unexpected', 'no'),
        thrown: { type: 'TypeError', trace: 'TypeError: no\n    at run' },
      },
    },
  ],
  [
    'with everything',
    { output: 'part', error: toJobError('job.timeout', 'late'), freshWorker: true },
  ],
  ['without anything', {}],
])('a result %s is read from disk as it was written', async (_name, result) => {
  const dir = await mkdtemp(join(tmpdir(), 'spool-test-'));
  const { log, lines } = await createTestLog();
  const spool = new Spool({ dir, log, clock: systemClock });
  const written = encodeResult(result, { maxBytes: 1000 });
  await spool.keep({ jobId: 'job/1', result: written });

  const left = [];
  for await (const one of spool.leftovers(() => [])) left.push(one);
  expect(left).toHaveLength(1);
  const { output, ...rest } = left[0]!.result;
  const { output: writtenOutput, ...writtenRest } = written;
  expect(left[0]!.jobId).toBe('job/1');
  expect(rest).toEqual(writtenRest);
  expect(output && toText(output)).toBe(writtenOutput && toText(writtenOutput));
  expect(output?.bytes).toBe(writtenOutput?.bytes);
  expect(lines.all).toEqual([]);
  await rm(dir, { recursive: true });
});
