import { openAsBlob } from 'node:fs';
import { join, posix } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import type { ComfyBackend, Progress } from '../../lib/comfy/backend.ts';
import type { Downloader } from '../../lib/download/downloader.ts';
import { describeError, errnoOf, isError, WorkerError } from '../../lib/errors.ts';
import { MemoryFile } from '../../lib/file-content.ts';
import type { JsonText } from '../../lib/json.ts';
import type { ModelCache } from '../../lib/models/cache/model-cache.ts';
import type { SpareBuffers } from '../../lib/spare-buffers.ts';
import type { JobScope } from '../job-scope.ts';
import type { JobInput } from '../request/job-input.ts';
import type { ImageLimits } from './input-content.ts';
import type { InputLeases, InputUse } from './input-leases.ts';
import { findLinks, replaceLink } from './input-links.ts';
import { fetchLinkedModels } from './model-links.ts';
import { followStoredNames, matchNames, type MatchedNames } from './match-names.ts';
import {
  loadInputs,
  requestedFile,
  requestedImage,
  requestedLink,
  type InputProblem,
  type LoadedInput,
} from './load-inputs.ts';

export interface StagingOptions {
  readonly comfy: Pick<
    ComfyBackend,
    'storeInput' | 'inputFolder' | 'describeNodes' | 'hasFile' | 'modelFolders'
  >;
  /** With it, loaders of models may have URLs. */
  readonly modelCache?: ModelCache | undefined;
  readonly context: { progress(progress: Progress): void };
  readonly leases: InputLeases;
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  /** Parallel downloads, and parallel uploads, of one job. */
  readonly transfers: number;
  /** For decoded files. */
  readonly spare: SpareBuffers;
  /** `noteInputs` is called with all file names before the first one is stored, while they are leased. */
  readonly jobFolder: { noteInputs(names: readonly string[]): Promise<void> };
  readonly scope: JobScope;
}

/** Disposing it releases the lease. */
export interface StagedInputs extends Disposable {
  /** The workflow, with URLs and misspelt names of files replaced by the names ComfyUI knows. */
  readonly workflow: JsonText;
  /** By node: files that ComfyUI does not have and that were not sent. */
  readonly missingFiles: MatchedNames['missingFiles'];
  /** Files stored. */
  readonly count: number;
  /** Lets other jobs overwrite the files. To be called when the prompt has ended. */
  releaseLease(): void;
}

/**
 * Puts all files that a job brings or links to into ComfyUI's input folder. Every file is tried, so that the caller
 * learns of all problems at once.
 * @throws WorkerError `input.upload_failed` with one line per file that failed, in the order they were sent.
 */
export async function stageInputs(
  input: Pick<JobInput, 'images' | 'files' | 'credentials' | 'strict'>,
  sent: JsonText,
  options: StagingOptions,
): Promise<StagedInputs> {
  const { comfy, leases, jobFolder, modelCache: cache, context, scope } = options;
  const { signal } = scope;
  using held = new DisposableStack();
  const onProgress = (progress: Progress) => context.progress(progress);
  const models =
    cache && held.use(await fetchLinkedModels(sent, { comfy, cache, signal, onProgress }));
  const workflow = models?.workflow ?? sent;
  const limit = pLimit(options.transfers);
  const links = await findLinks(workflow, comfy, signal);
  const requests = [
    ...input.images.map(requestedImage),
    ...input.files.map(requestedFile),
    ...links.map(requestedLink),
  ];
  const { credentials, strict } = input;
  const inputs = await loadInputs(requests, { ...options, credentials, strict, limit });
  signal.throwIfAborted();

  const linked = await replaceLinks(workflow, inputs, { comfy, signal });
  const loaded = inputs.filter((one) => 'content' in one);
  const sentFiles = loaded.map(({ label, path, link }) => ({
    path,
    label: link ? undefined : label,
  }));
  let matched = await matchNames(linked, sentFiles, { comfy, scope });
  const use = useOf(inputs, matched.workflow);
  noteUnused(loaded, use, scope);
  const lease = await leases.acquire(use, signal);
  try {
    await jobFolder.noteInputs([...use.writes.keys()]);
    const toUpload = inputs.filter((one) => 'problem' in one || !lease.present.has(one.path));
    const storedPaths = new Map(lease.present);
    const failures: unknown[] = [];
    const details = await uploadInputs(toUpload, { comfy, limit, signal, storedPaths, failures });
    if (details.length > 0) {
      const files =
        input.images.length > 0 ? 'upload one or more input images' : 'get one or more input files';
      const [cause] = failures;
      throw new WorkerError('input.upload_failed', `Failed to ${files}`, { details, cause });
    }
    lease.markStored(storedPaths);
    for (const { content } of loaded) {
      if (typeof content.pathOrBytes !== 'string') options.spare.giveBack(content.pathOrBytes);
    }
    // Until the lease was there, another job may have been storing the file that was missing.
    if (matched.missingFiles.size > 0)
      matched = await matchNames(matched.workflow, sentFiles, { comfy, scope });
    const { missingFiles, loaders } = matched;
    const kept = held.move();
    const releaseLease = () => {
      lease.release();
      kept.dispose();
    };
    return {
      workflow: followStoredNames(matched.workflow, loaders, storedPaths),
      missingFiles,
      count: inputs.length,
      releaseLease,
      [Symbol.dispose]: releaseLease,
    };
  } catch (error) {
    lease.release();
    throw error;
  }
}

/** A loader that takes a path gets the full one, or one relative to ComfyUI's own folder when its disk is not shared. */
async function replaceLinks(
  workflow: JsonText,
  inputs: readonly (LoadedInput | InputProblem)[],
  { comfy, signal }: { readonly comfy: StagingOptions['comfy']; readonly signal: AbortSignal },
): Promise<JsonText> {
  let replaced = workflow;
  for (const input of inputs) {
    if (!('link' in input)) continue;
    const { link, path } = input;
    const value =
      link.by === 'name' ? path : join((await comfy.inputFolder(signal)) ?? 'input', path);
    replaced = replaceLink(replaced, link, value);
  }
  return replaced;
}

/** Nodes may read files by any text, or by their folder. So a file that no text names is worth a note, and never an error. */
function noteUnused(
  inputs: readonly LoadedInput[],
  { texts }: InputUse,
  { note }: Pick<JobScope, 'note'>,
): void {
  const isNamed = (name: string) => name !== '' && texts.some((text) => text.includes(name));
  const unused = inputs.filter(
    ({ label, name, subfolder, link }) => !link && ![label, name, subfolder].some(isNamed),
  );
  if (unused.length === 0) return;
  const labels = [...new Set(unused.map(({ label }) => label))];
  const rest = labels.length > MAX_LABELS ? ` and ${labels.length - MAX_LABELS} more` : '';
  note(
    `No node names these files that were sent: ${labels.slice(0, MAX_LABELS).join(', ')}${rest}`,
  );
}

const MAX_LABELS = 10;

/** The files a job writes and may read in the input folder. */
function useOf(inputs: readonly (LoadedInput | InputProblem)[], workflow: JsonText): InputUse {
  const loaded = inputs.filter((one) => 'content' in one);
  const texts = loaded.flatMap(({ maskOf }) => maskOf?.filename ?? []);
  const collectTexts = (value: unknown): void => {
    if (typeof value === 'string') texts.push(value);
    else if (typeof value === 'object' && value !== null)
      Object.values(value).forEach(collectTexts);
  };
  collectTexts(workflow.value());
  // The file ComfyUI stores for a mask depends on the image it belongs to.
  const writes = loaded.map(({ path, content: { digest }, maskOf }) => {
    const ofMask = () => `${digest()} on ${JSON.stringify(maskOf)}`;
    return [path, maskOf ? ofMask : digest] as const;
  });
  return { writes: new Map(writes), texts };
}

/**
 * Uploads different files in parallel. Of files with the same name the last one sent must stay, so they are uploaded one
 * after the other, and the same bytes only once. Masks come last: their images must be there first.
 * @returns the problems, in the order the files were sent.
 */
async function uploadInputs(
  inputs: readonly (LoadedInput | InputProblem)[],
  options: {
    readonly comfy: StagingOptions['comfy'];
    readonly limit: LimitFunction;
    readonly signal: AbortSignal;
    /** Gets the path under which ComfyUI has stored each file, by the requested one. */
    readonly storedPaths: Map<string, string>;
    /** Gets the errors of uploads. */
    readonly failures: unknown[];
  },
): Promise<string[]> {
  const uploads = new Map<string, { digest: () => string; problem: Promise<string | undefined> }>();
  const start = (input: LoadedInput | InputProblem): Promise<string | undefined> => {
    if ('problem' in input) return Promise.resolve(input.problem);
    const { path, content, maskOf } = input;
    const before = uploads.get(path);
    // The same bytes need no second upload. A mask does: what ComfyUI stores depends on its image, too.
    if (before && !maskOf && before.digest() === content.digest()) return before.problem;
    const problem = Promise.resolve(before?.problem).then(() =>
      options.limit(() => uploadInput(input, options)),
    );
    uploads.set(path, { digest: content.digest, problem });
    return problem;
  };

  const notMasks = inputs.map((input) => ('maskOf' in input ? undefined : start(input)));
  await Promise.all(notMasks.filter((upload) => upload !== undefined));
  // Now the masks.
  const problems = await Promise.all(inputs.map((input, at) => notMasks[at] ?? start(input)));
  options.signal.throwIfAborted();
  return problems.filter((problem) => problem !== undefined);
}

/** @returns the problem, in words that clients match on. */
async function uploadInput(
  { name, subfolder, path, content, maskOf, label }: LoadedInput,
  options: {
    readonly comfy: StagingOptions['comfy'];
    readonly signal: AbortSignal;
    readonly storedPaths: Map<string, string>;
    readonly failures: unknown[];
  },
): Promise<string | undefined> {
  const { comfy, signal, storedPaths, failures } = options;
  try {
    const { pathOrBytes, mediaType } = content;
    const isOnDisk = typeof pathOrBytes === 'string';
    const bytes = isOnDisk ? await openAsBlob(pathOrBytes) : new MemoryFile(pathOrBytes);
    const file = { name, subfolder, mediaType, content: bytes };
    const stored = await comfy.storeInput(maskOf ? { ...file, maskOf } : file, signal);
    storedPaths.set(path, posix.join(stored.subfolder, stored.name));
    return undefined;
  } catch (error) {
    failures.push(error);
    const isTimeout =
      /TIMEOUT|ETIMEDOUT/.test(errnoOf(error) ?? '') ||
      (isError(error) && error.name === 'TimeoutError');
    if (isTimeout) return `Timeout uploading ${label}`;
    return `Error uploading ${label}: ${describeError(error)}`;
  }
}
