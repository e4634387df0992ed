import { runProgram } from '../lib/models/manifest/run-program.ts';
import { describeError, WorkerError } from '../lib/errors.ts';
import type { ComfySupervisor } from '../lib/comfy/local/supervisor/supervisor.ts';
import type { ModeStart } from './start-jobs.ts';

/**
 * The commands of an image around the start of ComfyUI: `COMFY_BEFORE_START` for what must be there (a GPU, models), and
 * `COMFY_AFTER_START` for what may arrive later. Both apply with `COMFY_COMMAND` only.
 */

type Start = Pick<ModeStart, 'config' | 'log'>;

/**
 * Runs `COMFY_BEFORE_START`. Returns early when the worker is told to stop.
 * @throws WorkerError `worker.unfit` with the last line that the command printed
 */
export async function runBeforeStart({ config, log }: Start, stop: AbortSignal): Promise<void> {
  const { COMFY_BEFORE_START: command, COMFY_COMMAND } = config;
  if (command === undefined || COMFY_COMMAND === undefined) return;
  const lines = log.child({ command: 'COMFY_BEFORE_START' });
  let lastLine = '';
  const onLine = (line: string) => {
    lastLine = line;
    lines.info(line);
  };
  const signal = AbortSignal.any([stop, AbortSignal.timeout(BEFORE_START_MS)]);
  try {
    await runProgram(command, { signal, onLine });
  } catch (error) {
    if (stop.aborted) return;
    throw new WorkerError('worker.unfit', lastLine || describeError(error), { cause: error });
  }
}

/** Downloads that are broken off go on at the next start. */
export const BEFORE_START_MS = 3_600_000;

/** Runs `COMFY_AFTER_START` once ComfyUI is up, beside the jobs. Disposing ends it. */
export function runAfterStart(
  { config, log }: Start,
  supervisor: ComfySupervisor | undefined,
): Disposable {
  const ended = new AbortController();
  const { signal } = ended;
  const lines = log.child({ command: 'COMFY_AFTER_START' });
  const run = async (health: ComfySupervisor['health'], command: readonly string[]) => {
    if (!(await health.untilUp(signal))) return;
    await runProgram(command, { signal, onLine: (line) => lines.info(line) });
  };
  if (supervisor && config.COMFY_AFTER_START) {
    run(supervisor.health, config.COMFY_AFTER_START).catch((error: unknown) => {
      if (!signal.aborted)
        lines.warn({ reason: describeError(error) }, 'The command failed; jobs are taken');
    });
  }
  return { [Symbol.dispose]: () => ended.abort() };
}
