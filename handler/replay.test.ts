import { expect, test } from '@jest/globals';
import type { Ending, PromptFailure } from '../lib/comfy/backend.ts';
import { ComfyHealth } from '../lib/comfy/local/health.ts';
import { deviceErrorOf, type DeviceError } from '../lib/comfy/nodes/device-errors.ts';
import { systemClock } from '../lib/clock.ts';
import { WorkerError, type ErrorCode } from '../lib/errors.ts';
import { silentLog } from '../lib/comfy/test-comfy.ts';
import { JobScope } from './job-scope.ts';
import { runWithReplay, type Attempt } from './replay.ts';

/** Attempts as a script: each ends in one of these ways, and ComfyUI dies during it unless `lives` is set. */
interface Script {
  readonly error?: ErrorCode;
  readonly cutShort?: ErrorCode;
  readonly ending?: Ending;
  /** Message of the node that raised. */
  readonly raised?: string;
  readonly listed?: number;
  readonly files?: readonly string[];
  readonly isSent?: boolean;
  readonly lives?: boolean;
  /** Node in the report on its prompt. */
  readonly failedNode?: string;
}

async function play(script: readonly Script[]) {
  const health = new ComfyHealth({ clock: systemClock, log: silentLog, downTimeoutMs: 10_000 });
  const { signal } = new AbortController();
  await using scope = new JobScope({ jobId: 'j', signal, log: silentLog, timeoutMs: 10_000 });
  let deadly = 0;
  let runs = 0;
  let looks = 0;
  const run = async (attempt: Attempt) => {
    const step = script[runs++];
    if (!step) throw new Error('No more attempts were expected');
    attempt.wasSent = step.isSent ?? true;
    if (step.failedNode !== undefined) scope.promptFailure = reportOn(step.failedNode);
    if (!step.lives) {
      health.down('signal SIGKILL');
      health.up();
    }
    if (step.error) throw new WorkerError(step.error, `error of run ${runs}`);
    const artifacts = step.files ?? [];
    const { cutShort, ending = 'succeeded', listed = artifacts.length } = step;
    const exceptionType = 'RuntimeError';
    const deviceError = deviceErrorOf({ exceptionType, message: step.raised ?? '' });
    return await Promise.resolve({
      outcome: {
        ending: step.raised === undefined ? ending : 'failed',
        problems: ending === 'failed' ? ['Node 3 raised'] : [],
        ...(deviceError && { deviceError }),
      },
      outputFiles: Array<string>(listed).fill(''),
      artifacts,
      ...(cutShort && { cutShort: new WorkerError(cutShort, `error of run ${runs}`) }),
    });
  };
  const cures: unknown[] = [];
  const comfy = {
    health,
    checkHealth: () => {
      looks++;
      return Promise.resolve();
    },
    cure: ({ remedy }: DeviceError) => {
      cures.push(remedy);
      return Promise.resolve(remedy !== 'fresh machine');
    },
  };
  const ended = await runWithReplay(run, {
    ...{ comfy, scope },
    onDeadly: () => {
      deadly++;
      return Promise.resolve();
    },
  }).then(
    ({ artifacts, cutShort }) => ({ files: artifacts, error: cutShort }),
    (error: unknown) => ({ files: [], error: error as WorkerError | undefined }),
  );
  const { attempts, needsFreshMachine, promptFailure } = scope;
  const failedNode = promptFailure?.nodeId;
  return { ...ended, runs, looks, attempts, deadly, cures, needsFreshMachine, failedNode };
}

const reportOn = (nodeId: string): PromptFailure => ({
  ...{ activity: 'loading', nodeId, nodeTitle: undefined },
  progress: { percent: 0 },
  logTail: [],
  versions: {},
  memory: {},
});

test('a run that succeeds is not repeated, although ComfyUI died during it', async () => {
  expect(await play([{ files: ['a'] }])).toMatchObject({ files: ['a'], runs: 1, attempts: 1 });
});

test('ComfyUI is looked at after a failure, unless its death is known already', async () => {
  expect(await play([{ error: 'comfy.prompt_lost' }, { files: ['b'] }])).toMatchObject({
    looks: 0,
  });
  expect(await play([{ error: 'comfy.prompt_lost', lives: true }])).toMatchObject({ looks: 1 });
});

test('the files of the last attempt are returned, and none of the first', async () => {
  const played = await play([{ cutShort: 'comfy.prompt_lost', files: ['a'] }, { files: ['b'] }]);
  expect(played).toMatchObject({ files: ['b'], error: undefined, attempts: 2, deadly: 0 });
});

test('the files of the first attempt are returned with the error of the last, if that has none', async () => {
  const first: Script = { cutShort: 'comfy.prompt_lost', files: ['a'] };
  expect(await play([first, { error: 'comfy.prompt_lost' }])).toMatchObject({
    files: ['a'],
    error: { message: 'error of run 2' },
    deadly: 1,
  });
  expect(await play([first, { ending: 'failed', lives: true }])).toMatchObject({
    files: ['a'],
    error: { code: 'comfy.execution_failed', details: ['Node 3 raised'] },
    deadly: 0,
  });
  const both = await play([first, { cutShort: 'comfy.prompt_lost', files: ['b'] }]);
  expect(both.files).toEqual(['b']);
});

test('a last attempt that succeeds without files does not return those of the first', async () => {
  const played = await play([{ cutShort: 'comfy.prompt_lost', files: ['a'] }, { lives: true }]);
  expect(played).toMatchObject({ files: [], error: undefined });
});

test('attempts whose prompt never began do not count, but are not endless', async () => {
  const staging: Script = { error: 'input.upload_failed', isSent: false };
  const waiting: Script = { error: 'comfy.not_begun' };
  const died: Script = { error: 'comfy.prompt_lost' };
  expect(await play([staging, waiting, died, { files: ['a'] }])).toMatchObject({
    files: ['a'],
    attempts: 2,
  });
  expect(await play([staging, waiting, waiting, waiting])).toMatchObject({
    error: { code: 'comfy.not_begun' },
    runs: 4,
    attempts: 1,
    deadly: 0,
  });
});

test('files that were lost after the prompt had ended are made again, and the job is not called deadly', async () => {
  const lost: Script = { files: ['a'], listed: 2 };
  expect(await play([lost, { files: ['b', 'c'] }])).toMatchObject({ files: ['b', 'c'] });
  expect(await play([lost, lost])).toMatchObject({ files: ['a'], deadly: 0, runs: 2 });
});

test.each(['comfy.execution_failed', 'comfy.rejected', 'job.timeout'] as const)(
  'an error %s is not a reason to run the job again',
  async (error) => {
    expect(await play([{ error }])).toMatchObject({ runs: 1, error: { code: error } });
  },
);

test('an error of a ComfyUI that lives is not a reason to run the job again', async () => {
  const played = await play([{ error: 'comfy.request_failed', lives: true }]);
  expect(played).toMatchObject({ runs: 1, attempts: 1 });
});

const lives = true;

test.each([
  ['full memory is freed', 'CUDA out of memory. Tried to allocate 9.00 GiB', 'free memory'],
  ['a device in an error state', 'CUDA error: unspecified launch failure', 'restart'],
])('after %s the job runs once more', async (_, raised, remedy) => {
  const again = await play([
    { raised, lives, files: ['a'] },
    { lives, files: ['b'] },
  ]);
  expect(again).toMatchObject({ files: ['b'], runs: 2, attempts: 2, cures: [remedy] });
  // The second error of the device is cured as well, for the next job.
  const twice = await play([
    { raised, lives, files: ['a'] },
    { raised, lives },
  ]);
  expect(twice).toMatchObject({ files: ['a'], runs: 2, attempts: 2, cures: [remedy, remedy] });
  expect(twice.needsFreshMachine).toBe(false);
});

test('without a usable device the job fails, and asks for a fresh machine', async () => {
  const raised = 'CUDA error: no CUDA-capable device is detected';
  const played = await play([{ raised, lives }]);
  expect(played).toMatchObject({ runs: 1, attempts: 1, needsFreshMachine: true });
});

test('the own error of a node is not a reason to run the job again', async () => {
  expect(await play([{ raised: 'the mask is empty', lives }])).toMatchObject({
    runs: 1,
    cures: [],
  });
});

test('files of the first attempt come with the report of the last, or with none if that had no prompt', async () => {
  const first: Script = { cutShort: 'comfy.prompt_lost', files: ['a'], failedNode: '1' };
  const failed: Script = { ending: 'failed', lives: true, failedNode: '2' };
  expect(await play([first, failed])).toMatchObject({ files: ['a'], failedNode: '2' });
  const unsent: Script = { error: 'comfy.rejected', isSent: false, lives: true };
  expect(await play([first, unsent])).toMatchObject({ files: ['a'], failedNode: undefined });
});
