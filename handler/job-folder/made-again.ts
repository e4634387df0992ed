import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import { isError } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { OutputRecord } from '../outputs/artifact.ts';
import { placeOf } from '../outputs/output-records.ts';
import type { Ran } from '../run-workflow.ts';

interface MadeAgainOptions {
  readonly comfy: Pick<ComfyBackend, 'hasFile' | 'clearCache'>;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * Runs a workflow, and once more in full when ComfyUI took a result from its cache whose file is gone. What other prompts
 * may be counting on is not thrown away: while there are any, what came is what there is.
 */
export async function madeAgain(run: () => Promise<Ran>, options: MadeAgainOptions): Promise<Ran> {
  const { comfy, signal, log } = options;
  const first = await run();
  try {
    const gone = await findGone(first, options);
    if (gone === undefined) return first;
    const { filename } = gone;
    if (!(await comfy.clearCache(signal))) {
      log.warn({ filename }, 'A cached file is gone; ComfyUI is too busy to make it again');
      return first;
    }
    log.warn({ filename }, 'A cached file is gone; the workflow is run again');
    return await run();
  } catch (error) {
    signal.throwIfAborted();
    if (!isError(error)) throw error;
    log.warn({ err: error }, 'A cached file is gone, and could not be made again');
    return first;
  }
}

/** A file that could not be fetched, of a node that was not run, and that ComfyUI does not have. */
async function findGone(
  { outcome, collected, fetched }: Ran,
  { comfy, signal }: MadeAgainOptions,
): Promise<OutputRecord | undefined> {
  if (outcome.ending !== 'succeeded') return undefined;
  const here = new Set(fetched.artifacts.map(placeOf));
  const cached = collected.records.filter(({ nodeId }) => !(nodeId in outcome.timings.nodes));
  for (const record of cached.filter((one) => !here.has(placeOf(one)))) {
    if (!(await comfy.hasFile(record, signal))) return record;
  }
  return undefined;
}
