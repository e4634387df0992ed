import { toText } from '../lib/json-body.ts';
import { toWireBody } from '../lib/queues/runpod/wire.ts';
import { readTestInput } from '../lib/queues/runpod/test-input.ts';
import { listenForShutdown } from '../lib/worker/shutdown.ts';
import { startLocalJobs } from './local-jobs.ts';
import type { Mode } from './mode.ts';

/** Runs the job of `--test_input` or `test_input.json`. @returns 0, or 1 when the job failed. */
export async function runOneJob({ config, flags, log }: Mode): Promise<number> {
  using shutdown = listenForShutdown({ log });
  const job = await readTestInput(flags);
  await using jobs = await startLocalJobs({ config, log });
  shutdown.whenTold(() => jobs.worker.kill());
  const result = await jobs.queue.submit(job, { signal: shutdown.signal });
  const identity = { hostname: config.RUNPOD_POD_HOSTNAME, podId: 'unknown' };
  const body = toWireBody({ kind: 'result', result }, identity);
  log.info({ result: toText(body) }, 'Result');
  return result.error === undefined ? 0 : 1;
}
