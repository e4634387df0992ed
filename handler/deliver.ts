import pLimit from 'p-limit';
import { describeError } from '../lib/errors.ts';
import { Base64 } from '../lib/json-body.ts';
import type { Storage } from '../lib/storage/storage.ts';
import type { Artifact, DeliveredFile } from './artifact.ts';

export interface DeliveryParts {
  /** Where files go; absent: into the result itself. */
  readonly storage?: Storage;
  /** Uploads side by side. */
  readonly transfers: number;
  /** The largest result that is posted; decides whether a file the bucket refused fits into the result instead. */
  readonly maxResultBytes: number;
}

export interface Delivered {
  readonly files: readonly DeliveredFile[];
  readonly problems: readonly string[];
}

/** Hands every artifact over, in order: as base64, or as the URL of an object in the bucket. */
export async function deliver(
  artifacts: readonly Artifact[],
  job: { readonly jobId: string; readonly signal: AbortSignal },
  parts: DeliveryParts,
): Promise<Delivered> {
  const { storage } = parts;
  if (!storage) return { files: await Promise.all(artifacts.map(inline)), problems: [] };

  const limit = pLimit(parts.transfers);
  const room = { bytes: parts.maxResultBytes - RESERVED_BYTES };
  const uploads = artifacts.map((artifact, index) =>
    limit(() => upload(storage, artifact, index, job)),
  );
  const uploaded = await Promise.all(uploads);
  job.signal.throwIfAborted();

  const outcomes = await Promise.all(uploaded.map((outcome) => fallBack(outcome, room)));
  return {
    files: outcomes.flatMap(({ file }) => file ?? []),
    problems: outcomes.flatMap(({ problem }) => problem ?? []),
  };
}

/** For URLs, names and error texts beside the files. */
const RESERVED_BYTES = 256 * 1024;

interface Outcome {
  readonly file?: DeliveredFile;
  readonly problem?: string;
}

async function inline(artifact: Artifact): Promise<DeliveredFile> {
  const bytes = new Uint8Array(await artifact.content.arrayBuffer());
  return { artifact, type: 'base64', data: new Base64(bytes) };
}

interface Upload extends Outcome {
  readonly artifact: Artifact;
}

async function upload(
  storage: Storage,
  artifact: Artifact,
  index: number,
  { jobId, signal }: { readonly jobId: string; readonly signal: AbortSignal },
): Promise<Upload> {
  const { filename, content, mediaType } = artifact;
  try {
    const bytes = new Uint8Array(await content.arrayBuffer());
    const url = await storage.put({ jobId, filename, index, bytes, mediaType }, signal);
    return { artifact, file: { artifact, type: 's3_url', data: url } };
  } catch (error) {
    return { artifact, problem: `Error uploading ${filename} to S3: ${describeError(error)}` };
  }
}

/** A file the bucket refused is here still: it goes into the result while there is room. */
async function fallBack(
  { artifact, file, problem }: Upload,
  room: { bytes: number },
): Promise<Outcome> {
  if (file) return { file };
  const encodedLength = 4 * Math.ceil(artifact.content.size / 3);
  if (encodedLength > room.bytes) {
    const sizes = `${encodedLength} bytes, ${Math.max(room.bytes, 0)} free`;
    return { problem: `${problem}. It is too large to be returned as base64 (${sizes}).` };
  }
  room.bytes -= encodedLength;
  return { file: await inline(artifact), ...(problem ? { problem } : {}) };
}
