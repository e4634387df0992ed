import type { LookupFunction } from 'node:net';
import type { S3Client } from '@aws-sdk/client-s3';
import type { S3RequestPresigner } from '@aws-sdk/s3-request-presigner';
import type { Clock } from '../../clock.ts';
import type { BucketSettings } from './bucket-settings.ts';
import { contentHash } from './content-hash.ts';
import { monthBucket, objectKey } from '../key.ts';
import { objectUrl } from './object-url.ts';
import { MAX_ATTEMPTS, uploadFailed } from './s3-errors.ts';
import { storeObject } from './s3-upload.ts';
import type { Storage, StoredFile } from '../storage.ts';

export interface S3Options {
  readonly clock: Clock;
  readonly connectTimeoutMs?: number;
  /** How long the store may be silent before an attempt is given up. */
  readonly silenceTimeoutMs?: number;
  /** Resolves host names; Node's own when left out. */
  readonly lookup?: LookupFunction;
}

interface Sdk {
  readonly client: S3Client;
  readonly presigner: S3RequestPresigner;
}

/** A bucket behind anything that speaks S3. The SDK is loaded with the first file, so that a worker starts without it. */
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
    const now = this.#options.clock.now();
    const bucket = this.#settings.bucket ?? monthBucket(now);
    const sha256 = await contentHash(file.content, signal);
    const key = objectKey(this.#settings.keyTemplate, { ...file, sha256 }, now);
    const url = objectUrl(this.#settings, bucket, key);
    try {
      const sdk = await this.#load();
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

  #load(): Promise<Sdk> {
    this.#sdk ??= loadSdk(this.#settings, this.#options);
    return this.#sdk;
  }

  /** A GET with exactly the six parameters of a signature: some stores refuse the extras the SDK likes to add. */
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
        signingDate: new Date(this.#options.clock.now() + client.config.systemClockOffset),
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
  const agent = { keepAlive: true, ...(lookup ? { lookup } : {}) };
  const client = new S3Client({
    endpoint,
    region,
    credentials: { accessKeyId, secretAccessKey },
    forcePathStyle: addressing === 'path',
    maxAttempts: MAX_ATTEMPTS,
    // Stores other than Amazon's refuse the checksums newer SDKs send, and keep a client waiting that asks to continue.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    requestHandler: {
      connectionTimeout: connectTimeoutMs,
      socketTimeout: silenceTimeoutMs,
      httpAgent: agent,
      httpsAgent: agent,
    },
  });
  return { client, presigner: new S3RequestPresigner(client.config) };
}
