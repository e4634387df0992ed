import type { BackendHealth } from '../lib/comfy/backend.ts';
import { isReplayed } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { JobResult } from '../lib/queues/queue.ts';

interface ReplayOptions {
  readonly health: BackendHealth;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** For both attempts together, and for waiting between them. */
  readonly timeoutMs: number;
}

/**
 * Runs a job, and once more when ComfyUI died under it. The second attempt begins when ComfyUI is up. If it fails without
 * files, the files of the first one are returned; files of two attempts are never mixed. When ComfyUI does not come back,
 * the result asks for a fresh worker.
 */
export async function runWithReplay(
  run: (timeoutMs: number) => Promise<JobResult>,
  { health, signal, log, timeoutMs }: ReplayOptions,
): Promise<JobResult> {
  const startedAt = performance.now();
  const { losses } = health;
  const first = await run(timeoutMs);
  if (first.error === undefined || !isReplayed(first.error.code)) return first;
  const isComfyLost = health.losses > losses;
  if (isComfyLost && (await health.untilUp(signal))) {
    const restMs = timeoutMs - (performance.now() - startedAt);
    if (restMs <= 0) return first;
    log.warn({ code: first.error.code }, 'ComfyUI died; the job is run once more');
    const second = await run(restMs);
    const isEmpty = second.error !== undefined && !hasFiles(second);
    const output = isEmpty && hasFiles(first) ? first.output : second.output;
    const members = typeof output === 'object' ? output : {};
    return askForHelp({ ...second, output: { ...members, attempts: 2 } }, health);
  }
  return askForHelp(first, health);
}

function askForHelp(result: JobResult, health: BackendHealth): JobResult {
  return result.error && health.isGivenUp ? { ...result, freshWorker: true } : result;
}

function hasFiles({ output }: JobResult): boolean {
  if (typeof output !== 'object' || output === null) return false;
  const groups: unknown[] = Object.values(output);
  return groups.some(
    (group) => Array.isArray(group) && group.some((one) => typeof one === 'object'),
  );
}
