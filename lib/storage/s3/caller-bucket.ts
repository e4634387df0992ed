import { systemClock } from '../../clock.ts';
import { errnoOf, WorkerError } from '../../errors.ts';
import { NOT_PUBLIC, publicLookupFor } from '../../http/public-address.ts';
import { BUCKET_NAME, placeOf, type BucketSettings } from './bucket-settings.ts';
import { withoutVariables } from '../key.ts';
import { regionOf } from './region.ts';
import { S3Storage } from './s3.ts';
import type { Storage } from '../storage.ts';

/** A bucket that comes with a job, as RunPod names its parts (`s3Config`). */
export interface CallerBucket {
  readonly accessId: string;
  readonly accessSecret: string;
  readonly bucketName: string;
  readonly endpointUrl: string;
  /** What object keys begin with. */
  readonly objectPath?: string | null | undefined;
  readonly region?: string | null | undefined;
}

export interface CallerBucketOptions {
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  readonly urlExpiresS: number;
}

/**
 * Nothing is connected yet.
 * @throws WorkerError `input.invalid` when it cannot be a bucket, or is none on the public internet.
 */
export function openCallerBucket(sent: CallerBucket, options: CallerBucketOptions): Storage {
  const endpoint = new URL(sent.endpointUrl);
  const problem = problemOf(sent, endpoint);
  if (problem !== undefined) throw new WorkerError('input.invalid', problem);
  const lookup = lookupFor(endpoint, options);
  const settings = settingsOf(sent, endpoint, options);
  return new S3Storage(settings, { clock: systemClock, ...(lookup ? { lookup } : {}) });
}

function settingsOf(
  sent: CallerBucket,
  endpoint: URL,
  { urlExpiresS }: CallerBucketOptions,
): BucketSettings {
  const { accessId: accessKeyId, accessSecret: secretAccessKey, bucketName: bucket } = sent;
  const named = sent.region === '' ? undefined : sent.region;
  return {
    ...placeOf(endpoint, { bucket }),
    owner: 'caller',
    bucket,
    region: named ?? regionOf(endpoint),
    accessKeyId,
    secretAccessKey,
    keyTemplate: `${withoutVariables(sent.objectPath ?? '')}/{job_id}/{random}{ext}`,
    urlExpiresS,
  };
}

function problemOf({ bucketName }: CallerBucket, endpoint: URL): string | undefined {
  const { username, password, search, hash } = endpoint;
  if (username || password || search || hash)
    return 'Expected s3Config.endpointUrl to be scheme, host and path only, without user, query or fragment';
  if (BUCKET_NAME.test(bucketName)) return undefined;
  return `Expected s3Config.bucketName to be three or more letters, digits, . _ and -, got ${JSON.stringify(bucketName)}`;
}

function lookupFor(endpoint: URL, { allowPrivate }: CallerBucketOptions) {
  try {
    return publicLookupFor(endpoint, allowPrivate);
  } catch (error) {
    if (errnoOf(error) !== 'EPRIVATE') throw error;
    throw new WorkerError(
      'input.invalid',
      `s3Config.endpointUrl: ${endpoint.host} is ${NOT_PUBLIC.upload}`,
    );
  }
}
