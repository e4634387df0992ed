import { join } from 'node:path';
import pLimit from 'p-limit';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import type { Downloader } from '../../lib/download/downloader.ts';
import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import { ContentFetcher } from './input-content.ts';
import type { InputLease, InputLeases, InputUse } from './input-leases.ts';
import { findLinks, replaceLink, type InputLink } from './input-links.ts';
import type { ImageLimits } from './input-look.ts';
import { wantedFile, wantedImage, wantedLink } from './input-wanted.ts';
import type { JobInput } from '../request/job-input.ts';
import { obtainInputs, type Obtained, type ObtainedInput } from './obtain-inputs.ts';
import { targetOf, uploadInputs } from './upload-inputs.ts';

export interface StagingParts {
  readonly comfy: Pick<ComfyBackend, 'storeInput' | 'inputFolder' | 'describeNodes'>;
  readonly leases: InputLeases;
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  /** Downloads, and then uploads, side by side. */
  readonly transfers: number;
}

export interface StagingOptions {
  readonly workflow: JsonText;
  /** Where fetched files lie until the job ends; the caller removes them. */
  readonly newPath: () => Promise<string>;
  /** Told the names before anything is stored under them, while they are leased. */
  readonly willStore?: (names: readonly string[]) => Promise<void>;
  readonly signal: AbortSignal;
}

/** The lease on the names, to be released when the prompt has ended, with the workflow that is to run. */
export interface Staged extends Pick<InputLease, 'release'>, Disposable {
  /** Files put there. */
  readonly count: number;
  /** As it came, but for URLs that stood for files: there the names are that those have in ComfyUI. */
  readonly workflow: JsonText;
}

type Sent = Pick<JobInput, 'images' | 'files' | 'credentials' | 'strict'>;

/**
 * Puts everything a job brings or names into ComfyUI's input folder. Every file is tried, so that a caller learns of all
 * problems at once.
 * @throws WorkerError `input.upload_failed` with one line per file that failed, in the order they were sent.
 */
export async function stageInputs(
  sent: Sent,
  parts: StagingParts,
  { workflow, newPath, willStore, signal }: StagingOptions,
): Promise<Staged> {
  const limit = pLimit(parts.transfers);
  const links = await findLinks(workflow, parts.comfy, signal);
  const { downloader, imageLimits: limits } = parts;
  const { credentials, strict } = sent;
  const fetcher = new ContentFetcher({ downloader, newPath, credentials, signal });
  const obtained = await obtainInputs(
    [...sent.images.map(wantedImage), ...sent.files.map(wantedFile), ...links.map(wantedLink)],
    { fetcher, limits, strict, limit },
  );
  signal.throwIfAborted();
  const staged = await replaceLinks(workflow, obtained, { comfy: parts.comfy, signal });
  const use = useOf(obtained, staged);
  const lease = await parts.leases.acquire(use, signal);
  try {
    await willStore?.([...use.writes.keys()]);
    const missing = obtained.filter((one) => 'problem' in one || !lease.present.has(targetOf(one)));
    const problems = await uploadInputs(missing, { comfy: parts.comfy, limit, signal });
    if (problems.length > 0) throw stagingFailed(problems, sent);
    lease.stored();
    const release = () => lease.release();
    const { length: count } = obtained;
    return { workflow: staged, count, release, [Symbol.dispose]: release };
  } catch (error) {
    lease.release();
    throw error;
  }
}

function stagingFailed(details: readonly string[], { images }: Sent): WorkerError {
  const what =
    images.length > 0 ? 'upload one or more input images' : 'get one or more input files';
  return new WorkerError('input.upload_failed', `Failed to ${what}`, { details });
}

async function replaceLinks(
  workflow: JsonText,
  obtained: readonly Obtained[],
  options: { readonly comfy: StagingParts['comfy']; readonly signal: AbortSignal },
): Promise<JsonText> {
  let replaced = workflow;
  for (const one of obtained) {
    if (!('link' in one)) continue;
    replaced = replaceLink(replaced, one.link, await placeOf(one, one.link, options));
  }
  return replaced;
}

/** What the loader is to be told. A path it can only take from where ComfyUI itself runs unless the folder is known. */
async function placeOf(
  input: ObtainedInput,
  { by }: InputLink,
  { comfy, signal }: { readonly comfy: StagingParts['comfy']; readonly signal: AbortSignal },
): Promise<string> {
  if (by === 'name') return targetOf(input);
  return join((await comfy.inputFolder(signal)) ?? 'input', targetOf(input));
}

/** What this job writes and reads in the input folder, so that no other gets in its way. */
function useOf(obtained: readonly Obtained[], workflow: JsonText): InputUse {
  const inputs = obtained.filter((one) => 'content' in one);
  const originals = inputs.flatMap(({ maskOf }) => maskOf?.filename ?? []);
  return {
    writes: new Map(inputs.map((input) => [targetOf(input), digestOf(input)])),
    texts: [...textsIn(workflow.value()), ...originals],
  };
}

/** Of a mask, what is stored depends on its image as well. */
function digestOf({ content, maskOf }: ObtainedInput): string {
  return maskOf ? `${content.digest} on ${JSON.stringify(maskOf)}` : content.digest;
}

/** Every string of a workflow, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}
