import { hash } from 'node:crypto';
import pLimit from 'p-limit';
import type { Comfy } from '../lib/comfy/comfy.ts';
import { describeError, errnoOf, isError, WorkerError } from '../lib/errors.ts';
import { mediaTypeOf } from '../lib/media-type.ts';
import { decodeBase64, maybeDeclaredType } from './base64.ts';
import type { InputLease, InputLeases } from './input-leases.ts';
import type { JsonText } from '../lib/json.ts';
import type { InputImage } from './job-input.ts';

export interface StagingParts {
  readonly comfy: Pick<Comfy, 'storeInput'>;
  readonly leases: InputLeases;
  /** Uploads side by side. */
  readonly transfers: number;
}

/** A decoded image, or why it is none; in the order they were sent. */
type Decoded = DecodedImage | { readonly problem: string };

interface DecodedImage {
  readonly name: string;
  readonly bytes: Buffer;
  readonly mediaType: string;
}

/**
 * Decodes and uploads all images of a job. Every one is tried, so that a caller learns of all problems at once.
 * @returns the lease on the names, to be released when the prompt has ended.
 * @throws WorkerError `input.upload_failed` with one line per image that failed, in input order.
 */
export async function stageInputs(
  input: { readonly images: readonly InputImage[]; readonly workflow: JsonText },
  parts: StagingParts,
  signal: AbortSignal,
): Promise<InputLease> {
  const decoded = input.images.map(decodeImage);
  const lease = await parts.leases.acquire(
    { writes: digestsOf(decoded), texts: textsIn(input.workflow.value()) },
    signal,
  );
  try {
    const problems = await uploadAll(decoded, parts, signal);
    if (problems.length === 0) return lease;
    throw new WorkerError('input.upload_failed', 'Failed to upload one or more input images', {
      details: problems,
    });
  } catch (error) {
    lease.release();
    throw error;
  }
}

function decodeImage({ name, image }: InputImage): Decoded {
  const shown = typeof name === 'string' ? name : JSON.stringify(name);
  if (typeof name !== 'string' || name === '') {
    return {
      problem: `Unexpected error uploading ${shown}: Expected name to be a non-empty string, got ${shown}`,
    };
  }
  if (typeof image !== 'string') {
    return {
      problem: `Unexpected error uploading ${shown}: Expected image to be a base64 string, got ${kindOf(image)}`,
    };
  }
  try {
    return {
      name,
      bytes: decodeBase64(image),
      mediaType: maybeDeclaredType(image) ?? mediaTypeOf(name),
    };
  } catch (error) {
    return { problem: `Error decoding base64 for ${name}: ${describeError(error)}` };
  }
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a ${typeof value}`;
}

/** Different names side by side; equal names one after the other, so that the last one sent is the one that stays. */
async function uploadAll(
  decoded: readonly Decoded[],
  parts: StagingParts,
  signal: AbortSignal,
): Promise<string[]> {
  const limit = pLimit(parts.transfers);
  const lastOfName = new Map<string, Promise<unknown>>();
  const uploads = decoded.map(async (image) => {
    if ('problem' in image) return image.problem;
    const before = lastOfName.get(image.name);
    const upload = (async () => {
      await before;
      return limit(() => uploadImage(image, parts, signal));
    })();
    lastOfName.set(image.name, upload);
    return upload;
  });
  const problems = await Promise.all(uploads);
  signal.throwIfAborted();
  return problems.filter((problem) => problem !== undefined);
}

/** @returns what went wrong, in the words clients know. */
async function uploadImage(
  image: DecodedImage,
  { comfy }: StagingParts,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const { name, mediaType, bytes } = image;
    await comfy.storeInput({ name, mediaType, content: new Blob([bytes]) }, signal);
    return undefined;
  } catch (error) {
    if (isTimeout(error)) return `Timeout uploading ${image.name}`;
    return `Error uploading ${image.name}: ${describeError(error)}`;
  }
}

function isTimeout(error: unknown): boolean {
  return (
    /TIMEOUT|ETIMEDOUT/.test(errnoOf(error) ?? '') ||
    (isError(error) && error.name === 'TimeoutError')
  );
}

function digestsOf(decoded: readonly Decoded[]): Map<string, string> {
  const digests = new Map<string, string>();
  for (const image of decoded) {
    if ('bytes' in image) digests.set(image.name, hash('sha1', image.bytes, 'base64'));
  }
  return digests;
}

/** Every string of a workflow, at any depth. */
function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(textsIn);
}
