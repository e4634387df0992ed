import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { createLog } from '../log.ts';
import { startRunpodSimulator } from '../simulator/stand-ins/runpod.ts';
import { ensureFit, type FitnessOptions } from './fitness.ts';
import { reportUnhealthy } from '../queues/runpod/ping.ts';

const log = await createLog({ level: 'info', format: 'json', destination: new PassThrough() });

function reporting() {
  const reports: unknown[] = [];
  const report: FitnessOptions['report'] = (failure) => Promise.resolve(reports.push(failure));
  return { reports, options: { report, log } };
}

test('a check that throws is reported to the platform, and the worker is unfit', async () => {
  await using sim = await startRunpodSimulator();
  const { env } = sim;
  const checks = [
    {
      name: 'gpu memory',
      check: () => {
        throw new Error('only 2 GB');
      },
    },
  ];
  const fit = ensureFit(checks, {
    log,
    report: (failure) =>
      reportUnhealthy(
        {
          url: env.RUNPOD_WEBHOOK_PING,
          apiKey: env.RUNPOD_AI_API_KEY,
          podId: 'pod1',
          version: '1',
        },
        failure,
      ),
  });
  await expect(fit).rejects.toMatchObject({
    code: 'worker.unfit',
    message: 'Fitness check "gpu memory" failed: only 2 GB',
  });
  expect(sim.pings.map(({ query }) => query)).toEqual([
    expect.objectContaining({ status: 'unhealthy', check: 'gpu memory', reason: 'only 2 GB' }),
  ]);
});

test('checks run in order, one after the other, until one fails', async () => {
  const { reports, options } = reporting();
  const seen: string[] = [];
  const check = (name: string, failure?: Error) => ({
    name,
    check: async () => {
      seen.push(`${name} begins`);
      await Promise.resolve();
      seen.push(`${name} ends`);
      if (failure) throw failure;
    },
  });
  const checks = [check('a'), check('b', new Error('no')), check('c')];
  await expect(ensureFit(checks, options)).rejects.toMatchObject({ code: 'worker.unfit' });
  expect(seen).toEqual(['a begins', 'a ends', 'b begins', 'b ends']);
  expect(reports).toEqual([{ check: 'b', reason: 'no' }]);
});

test('when all checks pass nothing is reported', async () => {
  const { reports, options } = reporting();
  await ensureFit([{ name: 'a', check: () => undefined }], options);
  await ensureFit([], options);
  expect(reports).toEqual([]);
});

test('a check that never ends fails after its timeout, and its signal is aborted', async () => {
  const { reports, options } = reporting();
  let told: AbortSignal | undefined;
  const endless = {
    name: 'network',
    check: (signal: AbortSignal) => new Promise(() => (told = signal)),
  };
  const fit = ensureFit([endless], { ...options, timeoutMs: 20 });
  await expect(fit).rejects.toThrow('"network" failed: it did not end within 0.02 s');
  expect(told?.aborted).toBe(true);
  expect(reports).toHaveLength(1);
});
