import type { ComfyBackend, PromptOutcome } from '../../lib/comfy/backend.ts';
import { isError } from '../../lib/errors.ts';
import type { JobScope } from '../job-scope.ts';
import type { Artifact, OutputFile } from './artifact.ts';
import { fileKey } from './collect-outputs.ts';

/** The parts of a run that show whether ComfyUI's cache was stale. */
interface RunResult {
  readonly outcome: PromptOutcome;
  readonly outputFiles: readonly OutputFile[];
  readonly artifacts: readonly Artifact[];
}

/**
 * Runs a workflow, and runs it once more without ComfyUI's cache if a result came from the cache but its file is gone.
 * While other prompts run or wait, the cache is not cleared, because they may rely on it: the first result stands.
 */
export async function rerunIfCacheIsStale<T extends RunResult>(
  run: () => Promise<T>,
  options: {
    readonly comfy: Pick<ComfyBackend, 'capabilities' | 'hasFile' | 'clearCache'>;
    readonly scope: JobScope;
  },
): Promise<T> {
  const { comfy, scope } = options;
  const { signal, log } = scope;
  const first = await run();
  if (!comfy.capabilities.freeMemory) return first;
  try {
    const missing = await findMissing(first, comfy, signal);
    if (missing === undefined) return first;
    const { filename } = missing;
    if (!(await comfy.clearCache(signal))) {
      log.warn({ filename }, 'A cached file is gone; ComfyUI is too busy to make it again');
      return first;
    }
    log.warn({ filename }, 'A cached file is gone; the workflow is run again');
    scope.startAttempt(scope.attempts);
    return await run();
  } catch (error) {
    if (scope.timeout) return first; // no time for a second run: what the first one made is delivered
    signal.throwIfAborted();
    if (!isError(error)) throw error;
    log.warn({ err: error }, 'A cached file is gone, and could not be made again');
    return first;
  }
}

/** A file that could not be fetched, whose node was not executed, and that ComfyUI does not have. */
async function findMissing(
  { outcome, outputFiles, artifacts }: RunResult,
  comfy: Pick<ComfyBackend, 'hasFile'>,
  signal: AbortSignal,
): Promise<OutputFile | undefined> {
  if (outcome.ending !== 'succeeded') return undefined;
  const fetched = new Set(artifacts.map(fileKey));
  const isCached = ({ nodeId }: OutputFile) => !(nodeId in outcome.timings.nodes);
  const lost = outputFiles.filter((file) => isCached(file) && !fetched.has(fileKey(file)));
  for (const file of lost) if (!(await comfy.hasFile(file, signal))) return file;
  return undefined;
}
