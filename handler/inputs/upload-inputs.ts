import { posix } from 'node:path';
import type { LimitFunction } from 'p-limit';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import { describeError, errnoOf, isError } from '../../lib/errors.ts';
import { toBlob } from './input-content.ts';
import type { Obtained, ObtainedInput } from './obtain-inputs.ts';

export interface UploadOptions {
  readonly comfy: Pick<ComfyBackend, 'storeInput'>;
  /** Bounds what is uploaded side by side. */
  readonly limit: LimitFunction;
  readonly signal: AbortSignal;
}

interface Upload {
  readonly digest: string;
  /** What went wrong, if anything did. */
  readonly problem: Promise<string | undefined>;
}

/**
 * Puts files into ComfyUI's input folder: different names side by side; of equal names one after the other, so that the
 * last one sent is the one that stays, and the same bytes only once. Masks come last: each needs its image there.
 * @returns what went wrong, in the order the files were sent.
 */
export async function uploadInputs(
  obtained: readonly Obtained[],
  options: UploadOptions,
): Promise<string[]> {
  const uploads = new Map<string, Upload>();
  const start = (one: Obtained) => uploadInTurn(one, uploads, options);
  const first = obtained.map((one) => (isMask(one) ? undefined : start(one)));
  await Promise.all(first.filter((upload) => upload !== undefined));
  const problems = await Promise.all(obtained.map((one, index) => first[index] ?? start(one)));
  options.signal.throwIfAborted();
  return problems.filter((problem) => problem !== undefined);
}

/** Where a file goes, within the input folder. */
export function targetOf({ subfolder, name }: Pick<ObtainedInput, 'subfolder' | 'name'>): string {
  return posix.join(subfolder, name);
}

const isMask = (one: Obtained) => 'maskOf' in one;

function uploadInTurn(
  one: Obtained,
  uploads: Map<string, Upload>,
  options: UploadOptions,
): Promise<string | undefined> {
  if ('problem' in one) return Promise.resolve(one.problem);
  const { digest } = one.content;
  const before = uploads.get(targetOf(one));
  if (before?.digest === digest && !one.maskOf) return before.problem;
  const problem = Promise.resolve(before?.problem).then(() =>
    options.limit(() => upload(one, options)),
  );
  uploads.set(targetOf(one), { digest, problem });
  return problem;
}

/** @returns what went wrong, in the words clients know. */
async function upload(
  { name, subfolder, content, maskOf, shown }: ObtainedInput,
  { comfy, signal }: UploadOptions,
): Promise<string | undefined> {
  try {
    const { mediaType } = content;
    const file = { name, subfolder, mediaType, content: await toBlob(content) };
    await comfy.storeInput(maskOf ? { ...file, maskOf } : file, signal);
    return undefined;
  } catch (error) {
    if (isTimeout(error)) return `Timeout uploading ${shown}`;
    return `Error uploading ${shown}: ${describeError(error)}`;
  }
}

function isTimeout(error: unknown): boolean {
  return (
    /TIMEOUT|ETIMEDOUT/.test(errnoOf(error) ?? '') ||
    (isError(error) && error.name === 'TimeoutError')
  );
}
