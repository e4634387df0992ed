import { createHash } from 'node:crypto';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { Config } from '../../lib/config.ts';
import { describeError, WorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { withRewrittenPrompt } from '../../lib/workflow/embedded/rewrite-prompt.ts';
import {
  classesWithPrefix,
  withCallersPrefix,
  withJobPrefix,
  withoutJobFolder,
} from '../../lib/workflow/job-prefix.ts';
import type { InputLeases } from '../inputs/input-leases.ts';
import type { JobScope } from '../job-scope.ts';
import type { Artifact } from '../outputs/artifact.ts';
import type { FileLedger, LedgerPage } from './file-ledger.ts';
import { isOnNetworkVolume, OwnInputs, removeWithin } from './removal.ts';

interface FolderOptions {
  readonly comfy: Pick<
    ComfyBackend,
    'capabilities' | 'inputFolder' | 'outputFolder' | 'describeNodes'
  >;
  /** `auto` removes a job's files where that is possible and safe, `always` fails the job where it is not. */
  readonly mode: Config['CLEANUP'];
  /** Names the files for the next worker, should this one be killed. */
  readonly ledger: FileLedger;
}

/**
 * Gives each job a folder of its own in ComfyUI's output folder, and removes what the job leaves on ComfyUI's disk.
 *
 * The folder is what makes removal safe. ComfyUI answers a workflow it has run before with the names of the files it
 * saved then. If those files were simply removed, the names would lead nowhere, or to files of another job that got the
 * same numbers since. A new folder makes ComfyUI save again, and only save: all other results still come from its cache.
 */
export class JobFolders {
  readonly #options: FolderOptions;
  readonly #ownInputs: OwnInputs;
  readonly #runs = new Map<string, number>();

  constructor({ leases, ...options }: FolderOptions & { readonly leases: InputLeases }) {
    this.#options = options;
    this.#ownInputs = new OwnInputs(leases);
  }

  /** Nothing is created yet. Dispose the folder when the job has ended. */
  open(scope: JobScope): JobFolder {
    const folder = this.nextPath(scope.jobId);
    return new JobFolder({ ...this.#options, ownInputs: this.#ownInputs, folder, scope });
  }

  /**
   * The folder of the next run of a job, below ComfyUI's output folder. It is always the same for the first run, so that
   * every worker makes the very same files. A job that runs here again gets another one, because ComfyUI remembers what
   * it saved in the first.
   */
  nextPath(jobId: string): string {
    const runs = (this.#runs.get(jobId) ?? 0) + 1;
    this.#runs.delete(jobId);
    this.#runs.set(jobId, runs);
    const [oldest] = this.#runs.keys();
    if (this.#runs.size > REMEMBERED_JOBS && oldest !== undefined) this.#runs.delete(oldest);
    // Job ids that might mean something to a path, to ComfyUI (`%width%`) or to JSON are hashed.
    const isSafe = /^[a-z0-9][\w-]{0,99}$/i.test(jobId);
    const name = isSafe ? jobId : createHash('sha256').update(jobId).digest('hex').slice(0, 32);
    return runs === 1 ? `jobs/${name}` : `jobs/${name}.${runs}`;
  }
}

const REMEMBERED_JOBS = 10_000;

interface JobFolderOptions extends FolderOptions {
  readonly ownInputs: OwnInputs;
  /** Path below ComfyUI's output folder. */
  readonly folder: string;
  readonly scope: JobScope;
}

/** The files of one job on ComfyUI's disk. Disposing removes them; files that cannot be removed are logged. */
export class JobFolder implements AsyncDisposable {
  readonly #options: JobFolderOptions;
  /** ComfyUI's output folder; set when the job saves into its own folder there. */
  #outputRoot: string | undefined;
  readonly #inputNames = new Set<string>();
  readonly #folderPage: LedgerPage;
  readonly #inputsPage: LedgerPage;

  constructor(options: JobFolderOptions) {
    this.#options = options;
    this.#folderPage = options.ledger.openPage('folder');
    this.#inputsPage = options.ledger.openPage('files');
  }

  /**
   * The workflow, changed to save its media into the job's folder; unchanged when its files are to stay where it saves
   * them, or when ComfyUI does not describe its nodes.
   * @throws WorkerError `comfy.disk_not_shared` when `CLEANUP=always` is not possible.
   */
  async redirectSaves(workflow: JsonText): Promise<JsonText> {
    const { mode, folder, comfy, scope } = this.#options;
    const classTypes = mode === 'never' ? new Set<string>() : classesWithPrefix(workflow);
    if (classTypes.size === 0) return workflow;
    const infos = await comfy.describeNodes(classTypes, { signal: scope.signal });
    const redirected = infos ? withJobPrefix(workflow, folder, infos) : workflow;
    if (redirected === workflow) return workflow;
    const root = await this.#removableRoot('output');
    if (root === undefined) return workflow;
    this.#outputRoot = root;
    await this.#folderPage.add([{ root, path: folder, isOwn: true }]);
    return redirected;
  }

  /** To be called with the names of input files before they are stored, while their lease is held. */
  async noteInputs(names: readonly string[]): Promise<void> {
    const { mode, ownInputs, ledger } = this.#options;
    if (mode === 'never' || names.length === 0) return;
    const root = await this.#removableRoot('input');
    if (root === undefined) return;
    await ledger.swept; // a file that a killed worker left would look like one that was there before
    await ownInputs.noteNew(root, names);
    await this.#inputsPage.add(names.map((path) => ({ root, path, isOwn: ownInputs.has(path) })));
    for (const name of names) this.#inputNames.add(name);
  }

  /**
   * The artifacts as the original workflow would have made them: with its subfolders, and with its prompt in the metadata
   * of pictures. Does not throw: a file that cannot be read stays as it is.
   */
  async restore(artifacts: readonly Artifact[]): Promise<readonly Artifact[]> {
    if (this.#outputRoot === undefined) return artifacts;
    const { folder, scope } = this.#options;
    const toCallers = (prompt: string) => {
      const parsed = prompt.includes(folder) ? JsonText.maybeParse(prompt) : undefined;
      return parsed ? withCallersPrefix(parsed, folder).text : prompt;
    };
    const restored = artifacts.map(async (artifact) => {
      const subfolder = withoutJobFolder(artifact.subfolder, folder);
      try {
        const content = await withRewrittenPrompt(artifact.content, toCallers);
        return { ...artifact, subfolder, content };
      } catch (error) {
        const { filename } = artifact;
        scope.log.debug({ filename, reason: describeError(error) }, 'Metadata could not be read');
        return { ...artifact, subfolder };
      }
    });
    return await Promise.all(restored);
  }

  /** Does not throw: the job's result stands whether or not its files can be removed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { folder, ownInputs, scope } = this.#options;
    const warn = (name: string, error: unknown) =>
      scope.log.warn(
        { err: error, name },
        "A job's files could not be removed from ComfyUI's disk",
      );
    if (this.#outputRoot !== undefined)
      await removeWithin(this.#outputRoot, folder).catch((error: unknown) => warn(folder, error));
    await ownInputs.remove(this.#inputNames, warn);
    await Promise.all([this.#folderPage.close(), this.#inputsPage.close()]);
  }

  /** ComfyUI's folder, if files may be removed there. */
  async #removableRoot(type: 'input' | 'output'): Promise<string | undefined> {
    const { comfy, mode, scope } = this.#options;
    const { signal } = scope;
    const askForRoot = () =>
      type === 'input' ? comfy.inputFolder(signal) : comfy.outputFolder(signal);
    const root = comfy.capabilities.sharedDisk ? await askForRoot() : undefined;
    if (mode === 'auto')
      return root === undefined || (await isOnNetworkVolume(root)) ? undefined : root;
    if (root !== undefined) return root;
    throw new WorkerError(
      'comfy.disk_not_shared',
      `CLEANUP is always, but ComfyUI's ${type} folder is on no disk that this worker sees; set COMFY_${type.toUpperCase()}_DIR to it, or CLEANUP to auto`,
    );
  }
}
