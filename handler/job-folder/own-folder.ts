import { createHash } from 'node:crypto';

/** The folders, below ComfyUI's output folder, that jobs save into. */
export class OwnFolders {
  readonly #runs = new Map<string, number>();

  /**
   * The folder of the next run of a job: always the same for the first one, so that another worker makes the very same
   * files. A job that is run again here gets another, because ComfyUI still knows what it saved in the one before.
   */
  next(jobId: string): string {
    const runs = (this.#runs.get(jobId) ?? 0) + 1;
    this.#runs.delete(jobId);
    this.#runs.set(jobId, runs);
    const [oldest] = this.#runs.keys();
    if (this.#runs.size > REMEMBERED && oldest !== undefined) this.#runs.delete(oldest);
    return runs === 1 ? `jobs/${safe(jobId)}` : `jobs/${safe(jobId)}.${runs}`;
  }
}

const REMEMBERED = 10_000;

/** As it is where it can mean nothing to a path, to ComfyUI (`%width%`) or to JSON. */
function safe(jobId: string): string {
  if (/^[a-z0-9][\w-]{0,99}$/i.test(jobId)) return jobId;
  return createHash('sha256').update(jobId).digest('hex').slice(0, 32);
}
