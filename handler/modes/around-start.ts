import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ComfySupervisor } from '../../lib/comfy/local/supervisor/supervisor.ts';
import type { Config } from '../../lib/config.ts';
import { describeError, WorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { runProgram } from '../../lib/processes/run-program.ts';
import { findModels, readAhead } from '../../lib/volume/read-ahead.ts';
import type { ModeStart } from '../start-jobs.ts';
import { isHttpUrl, readSource, shownName } from '../warm-up.ts';

/**
 * Commands around the start of a ComfyUI that the worker starts (`COMFY_COMMAND`). `COMFY_BEFORE_START` checks and fetches
 * things that ComfyUI needs, such as a GPU and models. `COMFY_AFTER_START` fetches things that may arrive later.
 */

/** The settings with the warm-up workflows of the manifest, unless `WARMUP_WORKFLOW` names others. */
export async function withManifestWarmUp(config: Config): Promise<Config> {
  const { COMFY_COMMAND, MANIFEST_FILE: path, WARMUP_WORKFLOW: named } = config;
  if (COMFY_COMMAND === undefined || named.length > 0 || !existsSync(path)) return config;
  const { readManifest } = await import('../../lib/models/manifest/read-manifest.ts');
  const { warmup } = await readManifest(path);
  const place = (source: string) => (isHttpUrl(source) ? source : resolve(dirname(path), source));
  return { ...config, WARMUP_WORKFLOW: warmup.map(place) };
}

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

/**
 * Reads the models of the warm-up ahead while ComfyUI starts, and runs `COMFY_AFTER_START` once it is up. Disposing ends
 * both.
 */
export function runBesideComfy(
  { config, log }: Start,
  supervisor: ComfySupervisor | undefined,
): Disposable {
  const ended = new AbortController();
  const { signal } = ended;
  if (supervisor) void readModelsAhead({ config, log }, signal);
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

async function readModelsAhead({ config, log }: Start, signal: AbortSignal): Promise<void> {
  const startedAt = performance.now();
  const roots = [
    config.MODELS_DIR ?? '/comfyui/models',
    ...(config.NETWORK_VOLUME_DIR === '' ? [] : [join(config.NETWORK_VOLUME_DIR, 'models')]),
  ];
  // Half of the memory stays free for ComfyUI.
  let maxBytes = process.availableMemory() / 2;
  for (const source of config.WARMUP_WORKFLOW) {
    try {
      const workflow = JsonText.parse(await readSource(source, signal)).value();
      const bytes = await readAhead(await findModels(workflow, roots), { maxBytes, signal });
      maxBytes -= bytes;
      const ms = Math.round(performance.now() - startedAt);
      if (bytes > 0) log.info({ warmUp: shownName(source), bytes, ms }, 'Models were read ahead');
    } catch (error) {
      // The warm-up itself reports what is wrong with the workflow.
      log.debug({ reason: describeError(error) }, 'Models were not read ahead');
    }
  }
}
