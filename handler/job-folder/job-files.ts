import type { JsonText } from '../../lib/json.ts';
import type { Logger } from '../../lib/log.ts';
import { withoutOwnPrefix } from '../../lib/workflow/own-prefix.ts';
import type { OwnInputs } from './own-inputs.ts';
import { removeWithin } from './remove-within.ts';

export interface JobFilesParts {
  /** Saves into `output.folder`, if there is one. */
  readonly workflow: JsonText;
  readonly log: Logger;
  /** Left out: what the job sends stays. */
  readonly inputs?: {
    readonly owned: OwnInputs;
    /** ComfyUI's input folder, where files may be removed there. */
    readonly findRoot: () => Promise<string | undefined>;
  };
  /** Left out: what the job saves stays. `folder` is the job's own, below ComfyUI's output folder, `root`. */
  readonly output?: { readonly root: string; readonly folder: string };
}

/** The files of one job on ComfyUI's disk. Disposed, they are gone; where that fails, it is told in the log. */
export class JobFiles implements AsyncDisposable {
  readonly #parts: JobFilesParts;
  readonly #names = new Set<string>();

  constructor(parts: JobFilesParts) {
    this.#parts = parts;
  }

  /** The workflow to run. */
  get workflow(): JsonText {
    return this.#parts.workflow;
  }

  /** To be told which input files are about to be stored, while their lease is held. */
  async willStore(names: readonly string[]): Promise<void> {
    const { inputs } = this.#parts;
    const root = names.length > 0 ? await inputs?.findRoot() : undefined;
    if (!inputs || root === undefined) return;
    await inputs.owned.claim(root, names);
    for (const name of names) this.#names.add(name);
  }

  /** Files in the subfolders where the workflow, as it was sent, would have put them. */
  asSent<T extends { readonly subfolder: string }>(files: readonly T[]): T[] {
    const folder = this.#parts.output?.folder;
    if (folder === undefined) return [...files];
    return files.map((file) => ({ ...file, subfolder: withoutOwnPrefix(file.subfolder, folder) }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { output, inputs, log } = this.#parts;
    // The job is done all the same.
    const warn = (name: string, error: unknown) =>
      log.warn({ err: error, name }, "A job's files could not be removed from ComfyUI's disk");
    if (output) {
      const { root, folder } = output;
      await removeWithin(root, folder).catch((error: unknown) => warn(folder, error));
    }
    await inputs?.owned.release(this.#names, warn);
  }
}
