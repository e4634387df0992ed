import type { ComfyBackend, PromptOutcome } from '../lib/comfy/backend.ts';
import { isReplayed, isWorkerError, WorkerError } from '../lib/errors.ts';
import type { JobResult } from '../lib/queues/queue.ts';
import type { JobScope } from './job-scope.ts';

/** One run of a job's workflow. */
export interface Attempt {
  /** Set when the workflow is sent to ComfyUI. */
  wasSent: boolean;
}

/** The parts of a run that show whether the death of ComfyUI has cost something. */
interface RunResult {
  /** Why the prompt was given up; undefined when it ended. */
  readonly cutShort?: unknown;
  readonly outcome: Pick<PromptOutcome, 'ending' | 'problems' | 'deviceError'>;
  readonly outputFiles: readonly unknown[];
  readonly artifacts: readonly unknown[];
}

interface ReplayOptions {
  readonly comfy: Pick<ComfyBackend, 'health' | 'checkHealth' | 'cure'>;
  readonly scope: JobScope;
  /** Called when ComfyUI has died in all attempts. */
  readonly onDeadly: () => Promise<void>;
}

/**
 * Runs a workflow, and once more when ComfyUI died under it, or when a node failed because of the device and something
 * can be done about it. The next attempt begins when ComfyUI is up again.
 *
 * An attempt counts when its prompt may have begun. If ComfyUI died before that, while inputs were staged or while another
 * prompt ran, this is not the job's failure: the attempt is repeated without counting, a few times.
 *
 * The files of an earlier attempt are returned only if the last one fails without files. They are never mixed.
 * @throws the error of the last attempt; its details list the deaths.
 */
export async function runWithReplay<T extends RunResult>(
  run: (attempt: Attempt) => Promise<T>,
  { comfy, scope, onDeadly }: ReplayOptions,
): Promise<T> {
  const { health } = comfy;
  const deaths: string[] = [];
  let kills = 0;
  let notBegun = 0;
  let earlier: T | undefined;
  for (;;) {
    const { losses } = health;
    scope.startAttempt(deaths.length + 1);
    const attempt: Attempt = { wasSent: false };
    const { result, failure, hasEnded } = await settle(run(attempt));
    const deviceError = result?.outcome.deviceError;
    if (result && deviceError?.remedy) {
      const { remedy } = deviceError;
      const isCured = await comfy.cure(deviceError, scope.signal).catch(() => false);
      if (!isCured && remedy !== 'free memory') scope.needsFreshMachine = !scope.signal.aborted;
      if (!isCured || deaths.length + 1 >= MAX_ATTEMPTS) return conclude(result, failure, earlier);
      deaths.push(`Attempt ${deaths.length + 1}: ${deviceError.name}`);
      if (result.artifacts.length > 0) earlier = result;
      scope.log.warn({ remedy, attempt: deaths.length + 1 }, 'The job is run again');
      continue;
    }
    if (!isWorkerError(failure) || !isReplayed(failure.code))
      return conclude(result, failure, earlier);
    // Once is enough: a second look could take the same refusal for another death.
    if (health.losses === losses) await comfy.checkHealth(failure, scope.signal);
    if (health.losses === losses) return conclude(result, failure, earlier);

    const isCounted = attempt.wasSent && failure.code !== 'comfy.not_begun';
    if (isCounted) deaths.push(`Attempt ${deaths.length + 1}: ${failure.message}`);
    if (isCounted && !hasEnded) kills++;
    const mayRunAgain = isCounted ? deaths.length < MAX_ATTEMPTS : ++notBegun <= MAX_NOT_BEGUN;
    if (kills === MAX_ATTEMPTS) await onDeadly();
    if (!mayRunAgain || !(await health.untilUp(scope.signal).catch(() => false)))
      return conclude(result, withDeaths(failure, deaths), earlier);

    if (result && result.artifacts.length > 0) earlier = result;
    const { code, message: reason } = failure;
    const next = deaths.length + 1;
    scope.log.warn({ code, reason, attempt: next }, 'ComfyUI died; the job is run again');
  }
}

/** `failure` is also set when the prompt has ended, but ComfyUI did not hand out all of its files. */
async function settle<T extends RunResult>(running: Promise<T>) {
  try {
    const result = await running;
    const { cutShort, artifacts, outputFiles } = result;
    if (cutShort !== undefined) return { result, failure: cutShort, hasEnded: false };
    const isComplete = artifacts.length >= outputFiles.length;
    const failure = isComplete ? undefined : new WorkerError('comfy.request_failed', FILES_LOST);
    return { result, failure, hasEnded: true };
  } catch (failure) {
    return { failure, hasEnded: false };
  }
}

/** The result of the last attempt; or the files of an earlier one, with the failure of the last. */
function conclude<T extends RunResult>(
  last: T | undefined,
  failure: unknown,
  earlier: T | undefined,
): T {
  if (last && last.cutShort === undefined) {
    const { outcome, artifacts } = last;
    if (outcome.ending === 'succeeded' || artifacts.length > 0 || !earlier) return last;
    const details = outcome.problems;
    const failed = new WorkerError('comfy.execution_failed', 'Job processing failed', { details });
    return { ...earlier, cutShort: failed };
  }
  const best = last && last.artifacts.length > 0 ? last : (earlier ?? last);
  if (!best) throw failure;
  return { ...best, cutShort: failure };
}

function withDeaths(failure: WorkerError, deaths: readonly string[]): WorkerError {
  if (deaths.length < 2) return failure;
  const details = [...(failure.details ?? []), ...deaths];
  return new WorkerError(failure.code, failure.message, { cause: failure, details });
}

/** Adds the number of attempts if there was more than one. A failure asks for a fresh worker if ComfyUI does not come back. */
export function withAttempts(
  result: JobResult,
  { attempts, needsFreshMachine }: Pick<JobScope, 'attempts' | 'needsFreshMachine'>,
  { health }: Pick<ComfyBackend, 'health'>,
): JobResult {
  const members = typeof result.output === 'object' ? result.output : {};
  return {
    ...result,
    ...(attempts > 1 && { output: { ...members, attempts } }),
    ...((needsFreshMachine || (result.error && health.isGivenUp)) && { freshWorker: true }),
  };
}

const MAX_ATTEMPTS = 2;
/** A limit, because ComfyUI may die for a reason that has nothing to do with prompts. */
const MAX_NOT_BEGUN = 3;
const FILES_LOST = 'ComfyUI died before all files of the prompt were fetched';
