import { createHash } from 'node:crypto';
import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import type { Clock } from '../../clock.ts';
import { isError } from '../../errors.ts';
import { limitAnswers, SHORT_ANSWER } from '../../http/answer-limit.ts';
import { USER_AGENT } from '../../version.ts';
import { monthBucket, objectKey } from '../key.ts';
import type { Storage, StoredFile } from '../storage.ts';
import { MAX_ATTEMPTS, uploadFailed } from './errors.ts';
import type { BucketSettings } from './settings.ts';

export interface S3Options {
  readonly clock: Clock;
  /** 5 s by default. */
  readonly connectTimeoutMs?: number;
  /** Time the store may be silent before an attempt is given up; 60 s by default. */
  readonly silenceTimeoutMs?: number;
  /** Resolves host names; Node's own by default. */
  readonly lookup?: LookupFunction;
}

interface Sdk {
  readonly client: S3Client;
  readonly presigner: S3RequestPresigner;
}

/** A bucket of any server that speaks S3. The SDK is loaded with the first file: it would slow down the worker's start. */
export class S3Storage implements Storage {
  readonly #settings: BucketSettings;
  readonly #options: S3Options;
  #sdk: Promise<Sdk> | undefined;

  constructor(settings: BucketSettings, options: S3Options) {
    this.#settings = settings;
    this.#options = options;
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const now = this.#options.clock.wallTime();
    const bucket = this.#settings.bucket ?? monthBucket(now);
    const sha256 = await contentHash(file.content, signal);
    const key = objectKey(this.#settings.keyTemplate, { ...file, sha256 }, now);
    const url = objectUrl(this.#settings, bucket, key);
    try {
      this.#sdk ??= loadSdk(this.#settings, this.#options);
      const sdk = await this.#sdk;
      await storeObject(sdk.client, { bucket, key, file, sha256, signal });
      return await this.#presign(sdk, url);
    } catch (error) {
      const { owner } = this.#settings;
      throw signal.aborted ? signal.reason : uploadFailed(error, { url, bucket, owner });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const sdk = await this.#sdk?.catch(() => undefined);
    sdk?.client.destroy();
  }

  /** A GET with exactly the six parameters of a signature: some stores refuse the parameters that the SDK adds. */
  async #presign({ client, presigner }: Sdk, url: string): Promise<string> {
    const { protocol, hostname, port, host, pathname } = new URL(url);
    const onlyHost = new Set(['x-amz-content-sha256']);
    const signed = await presigner.presign(
      {
        method: 'GET',
        protocol,
        hostname,
        ...(port === '' ? {} : { port: Number(port) }),
        path: pathname,
        query: {},
        headers: { host },
      },
      {
        expiresIn: this.#settings.urlExpiresS,
        signingDate: new Date(this.#options.clock.wallTime() + client.config.systemClockOffset),
        unhoistableHeaders: onlyHost,
        unsignableHeaders: onlyHost,
      },
    );
    const query = Object.entries(signed.query ?? {}).map(
      ([name, value]) => `${name}=${encodeURIComponent(String(value))}`,
    );
    return `${url}?${query.join('&')}`;
  }
}

async function loadSdk(settings: BucketSettings, options: S3Options): Promise<Sdk> {
  const [{ S3Client }, { S3RequestPresigner }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@aws-sdk/s3-request-presigner'),
  ]);
  const { endpoint, region, addressing, accessKeyId, secretAccessKey } = settings;
  const { connectTimeoutMs = 5_000, silenceTimeoutMs = 60_000, lookup } = options;
  const agentOptions = { keepAlive: true, maxSockets: 50, ...(lookup && { lookup }) };
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: addressing === 'path',
    customUserAgent: USER_AGENT,
    maxAttempts: MAX_ATTEMPTS,
    // Some stores refuse the checksums of newer SDKs, and never answer `Expect: 100-continue`.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      socketTimeout: silenceTimeoutMs,
      httpAgent: limitAnswers(new Agent(agentOptions), SHORT_ANSWER),
      httpsAgent: limitAnswers(new SecureAgent(agentOptions), SHORT_ANSWER),
    },
  });
  return { client, presigner: new S3RequestPresigner(client.config) };
}

/** SHA-256 in hexadecimal digits. The file is read in pieces. */
async function contentHash(content: Blob, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content.stream() as AsyncIterable<Uint8Array>) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}

/** The URL of an object, as it is requested and signed: everything but A-Z a-z 0-9 - _ . ~ is escaped. */
function objectUrl(
  { endpoint, addressing }: Pick<BucketSettings, 'endpoint' | 'addressing'>,
  bucket: string,
  key: string,
): string {
  const escape = (character: string) =>
    `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  const segments = key
    .split('/')
    .map((segment) => encodeURIComponent(segment).replace(/[!'()*]/g, escape));
  const path = segments.join('/');
  if (addressing === 'path') return `${endpoint}/${bucket}/${path}`;
  return `${endpoint.replace('://', `://${bucket}.`)}/${path}`;
}

/** An object to be stored in a bucket. */
interface StoredObject {
  readonly bucket: string;
  readonly key: string;
  readonly file: StoredFile;
  readonly sha256: string;
  readonly signal: AbortSignal;
}

/**
 * Sends small files whole. Large files are sent in parts, read from disk as they leave; a large file that an earlier
 * attempt of the same job has stored already is skipped.
 */
async function storeObject(client: S3Client, object: StoredObject): Promise<void> {
  const { bucket, key, file, signal } = object;
  if (file.content.size > WHOLE_BYTES) {
    if (!(await isStored(client, object))) await putInParts(client, object);
    return;
  }
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

/** Asks for size and hash. A key that may write but not read is answered 403; then the file is sent again. */
async function isStored(
  client: S3Client,
  { bucket, key, file, sha256, signal }: StoredObject,
): Promise<boolean> {
  const { HeadObjectCommand } = await import('@aws-sdk/client-s3');
  try {
    const head = new HeadObjectCommand({ Bucket: bucket, Key: key });
    const { ContentLength, Metadata } = await client.send(head, { abortSignal: signal });
    return ContentLength === file.content.size && Metadata?.[HASH] === sha256;
  } catch (error) {
    if (!isError(error) || !('$metadata' in error)) throw error;
    const { httpStatusCode } = error.$metadata as { httpStatusCode?: number };
    if (httpStatusCode === undefined) throw error;
    return false;
  }
}

async function putInParts(client: S3Client, object: StoredObject): Promise<void> {
  const { Upload } = await import('@aws-sdk/lib-storage');
  const { bucket, key, file, sha256, signal } = object;
  const upload = new Upload({
    client: await abortable(client, signal),
    queueSize: PARTS_AT_ONCE,
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
 * A client whose requests end with the signal; `Upload` takes none, and would continue after the job has ended. Only the
 * request that deletes the parts may take a moment longer. If it fails, the store removes the parts by its own rules.
 */
async function abortable(client: S3Client, signal: AbortSignal): Promise<S3Client> {
  const { AbortMultipartUploadCommand } = await import('@aws-sdk/client-s3');
  type Command = Parameters<S3Client['send']>[0];
  const send = async (command: Command): Promise<unknown> => {
    if (!(command instanceof AbortMultipartUploadCommand))
      return await client.send(command, { abortSignal: signal });
    const timeout = AbortSignal.timeout(DELETE_PARTS_MS);
    return await client.send(command, { abortSignal: timeout }).catch(() => undefined);
  };
  return Object.create(client, { send: { value: send } }) as S3Client;
}

/** Metadata of an object sent in parts: SHA-256 of the whole file. Stores do not compute it over parts. */
const HASH = 'sha256';

const WHOLE_BYTES = 8 * 1024 * 1024;
/** The smallest that stores accept; all parts but the last must have the same size. */
const PART_BYTES = 5 * 1024 * 1024;
const MOST_PARTS = 10_000;
const PARTS_AT_ONCE = 2;
const DELETE_PARTS_MS = 10_000;
