import type { S3Client } from '@aws-sdk/client-s3';
import { isError } from '../../errors.ts';
import type { StoredFile } from '../storage.ts';

/** An object on its way into a bucket. */
export interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  readonly file: StoredFile;
  readonly sha256: string;
  readonly signal: AbortSignal;
}

/**
 * Small files go whole. Large ones go in parts, read from the disk as they leave, unless an earlier try of the same job has
 * already brought them there.
 */
export async function storeObject(client: S3Client, object: StoredObject): Promise<void> {
  if (object.file.content.size <= WHOLE_BYTES) await putWhole(client, object);
  else if (!(await isThere(client, object))) await putInParts(client, object);
}

async function putWhole(
  client: S3Client,
  { bucket, key, file, signal }: StoredObject,
): Promise<void> {
  const { PutObjectCommand } = await import('@aws-sdk/client-s3');
  const bytes = new Uint8Array(await file.content.arrayBuffer());
  await client.send(
    new PutObjectCommand({
      Bucket: bucket,
      Key: key,
      Body: bytes,
      ContentType: file.mediaType,
      ContentLength: bytes.byteLength,
    }),
    { abortSignal: signal },
  );
}

/** A key that may write but not look is answered 403: then it is written again. */
async function isThere(
  client: S3Client,
  { bucket, key, file, sha256, signal }: StoredObject,
): Promise<boolean> {
  const { HeadObjectCommand } = await import('@aws-sdk/client-s3');
  try {
    const head = new HeadObjectCommand({ Bucket: bucket, Key: key });
    const { ContentLength, Metadata } = await client.send(head, { abortSignal: signal });
    return ContentLength === file.content.size && Metadata?.[HASH] === sha256;
  } catch (error) {
    if (isAnswer(error)) return false;
    throw error;
  }
}

async function putInParts(client: S3Client, object: StoredObject): Promise<void> {
  const { Upload } = await import('@aws-sdk/lib-storage');
  const { bucket, key, file, sha256, signal } = object;
  const upload = new Upload({
    client: await stoppable(client, signal),
    queueSize: PARTS_SIDE_BY_SIDE,
    partSize: Math.max(PART_BYTES, Math.ceil(file.content.size / MOST_PARTS)),
    params: {
      Bucket: bucket,
      Key: key,
      Body: file.content,
      ContentType: file.mediaType,
      ContentLength: file.content.size,
      Metadata: { [HASH]: sha256 },
    },
  });
  await upload.done();
}

/**
 * A client whose requests end with the signal; the library knows no signal, and would go on beside a job that is over.
 * Only throwing away the parts goes on, for a moment: a store that does not answer then forgets them by its own rules.
 */
async function stoppable(client: S3Client, signal: AbortSignal): Promise<S3Client> {
  const { AbortMultipartUploadCommand } = await import('@aws-sdk/client-s3');
  type Command = Parameters<S3Client['send']>[0];
  const send = async (command: Command): Promise<unknown> => {
    if (!(command instanceof AbortMultipartUploadCommand))
      return await client.send(command, { abortSignal: signal });
    const late = AbortSignal.timeout(THROW_AWAY_MS);
    return await client.send(command, { abortSignal: late }).catch(() => undefined);
  };
  return Object.create(client, { send: { value: send } }) as S3Client;
}

function isAnswer(error: unknown): boolean {
  if (!isError(error) || !('$metadata' in error)) return false;
  return (error.$metadata as { httpStatusCode?: number }).httpStatusCode !== undefined;
}

/** Metadata of an object that went in parts: hash of all of it, which no store computes over parts. */
const HASH = 'sha256';

const WHOLE_BYTES = 8 * 1024 * 1024;
/** The least that stores take; all but the last must be of one size. */
const PART_BYTES = 5 * 1024 * 1024;
const MOST_PARTS = 10_000;
const PARTS_SIDE_BY_SIDE = 2;
const THROW_AWAY_MS = 10_000;
