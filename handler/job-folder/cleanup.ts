import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { Config } from '../../lib/config.ts';
import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import type { Logger } from '../../lib/log.ts';
import { withOwnPrefix } from '../../lib/workflow/own-prefix.ts';
import type { InputLeases } from '../inputs/input-leases.ts';
import { JobFiles } from './job-files.ts';
import { isOnVolume } from './network-volume.ts';
import { OwnFolders } from './own-folder.ts';
import { OwnInputs } from './own-inputs.ts';

export interface CleanupParts {
  readonly comfy: Pick<ComfyBackend, 'inputFolder' | 'outputFolder'>;
  readonly leases: InputLeases;
  readonly mode: Config['CLEANUP'];
}

export interface CleanupOptions {
  readonly workflow: JsonText;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/**
 * Removes what jobs leave on ComfyUI's disk. ComfyUI answers a workflow it has run before with the names of the files it
 * saved then. Were they simply removed, the names would lead nowhere, or to the files of another job that got the same
 * numbers since. So each job saves into a folder of its own: that makes ComfyUI save again, and only save, from results
 * that it still has.
 */
export class Cleanup {
  readonly #parts: CleanupParts;
  readonly #folders = new OwnFolders();
  readonly #inputs: OwnInputs;

  constructor(parts: CleanupParts) {
    this.#parts = parts;
    this.#inputs = new OwnInputs(parts.leases);
  }

  /**
   * Gives a job a folder of its own, where that can be removed. Dispose what this returns when the job has ended.
   * @throws WorkerError `comfy.disk_not_shared` when `CLEANUP=always` cannot be done.
   */
  async begin(jobId: string, { workflow, signal, log }: CleanupOptions): Promise<JobFiles> {
    if (this.#parts.mode === 'never') return new JobFiles({ workflow, log });
    const inputs = { owned: this.#inputs, findRoot: () => this.#root('input', signal) };
    const folder = this.#folders.next(jobId);
    const moved = withOwnPrefix(workflow, folder);
    const root = moved === workflow ? undefined : await this.#root('output', signal);
    if (root === undefined) return new JobFiles({ workflow, log, inputs });
    return new JobFiles({ workflow: moved, log, inputs, output: { root, folder } });
  }

  /** Where files may be removed; undefined where they are to be left. */
  async #root(type: 'input' | 'output', signal: AbortSignal): Promise<string | undefined> {
    const { comfy, mode } = this.#parts;
    const root = await (type === 'input' ? comfy.inputFolder(signal) : comfy.outputFolder(signal));
    if (mode === 'always') return root ?? notShared(type);
    return root === undefined || (await isOnVolume(root)) ? undefined : root;
  }
}

function notShared(type: 'input' | 'output'): never {
  throw new WorkerError(
    'comfy.disk_not_shared',
    `CLEANUP is always, but ComfyUI's ${type} folder is on no disk that this worker sees; set COMFY_${type.toUpperCase()}_DIR to it, or CLEANUP to auto`,
  );
}
