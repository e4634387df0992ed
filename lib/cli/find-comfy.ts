import { systemClock } from '../clock.ts';
import { WorkerError } from '../errors.ts';
import { connectionProblem } from './connection-problem.ts';

/**
 * Resolves when ComfyUI answers. A person is waiting: a few seconds are enough for one that is up.
 * @throws WorkerError `comfy.unreachable`, or the reason of the signal.
 */
export async function findComfy(
  url: string,
  { signal, patienceMs = PATIENCE_MS }: { signal: AbortSignal; patienceMs?: number },
): Promise<void> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const problem = await problemOf(url, signal);
    if (problem === undefined) return;
    if (performance.now() >= until) throw notFound(url, problem);
    await systemClock.sleep(PAUSE_MS, signal);
  }
}

async function problemOf(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const response = await fetch(url, { signal: inTime });
    await response.body?.cancel();
    return response.ok ? undefined : `it answered ${response.status} ${response.statusText}`;
  } catch (error) {
    signal.throwIfAborted();
    return connectionProblem(error);
  }
}

function notFound(url: string, problem: string): WorkerError {
  return new WorkerError(
    'comfy.unreachable',
    `No ComfyUI answers at ${url} (${problem}); start it, set COMFY_URL to where it is, or use --simulate`,
  );
}

const PATIENCE_MS = 3000;
const ANSWER_MS = 10_000;
const PAUSE_MS = 250;
