import { z } from 'zod';
import { systemClock, type Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { withoutVariables } from '../key.ts';
import {
  HttpUrlSchema,
  lookupFor,
  toDestination,
  type Storage,
  type Store,
  type StoreContext,
} from '../storage.ts';
import { S3Storage } from './s3.ts';
import {
  bucketSettings,
  BUCKET_NAME,
  ignoredBucketVariables,
  placeOf,
  regionOf,
  type BucketConfig,
} from './settings.ts';

/** A bucket with the field names of RunPod, at `input.s3Config` or beside `input`. */
const S3ConfigSchema = z.object({
  accessId: z.string().min(1),
  accessSecret: z.string().min(1),
  bucketName: z.string().min(1),
  endpointUrl: HttpUrlSchema,
  /** Prefix of the object keys. */
  objectPath: z.string().nullish(),
  region: z.string().nullish(),
});

export type S3Config = z.infer<typeof S3ConfigSchema>;

export const s3Store = {
  name: 's3',
  schema: S3ConfigSchema,
  hint: 'no bucket (s3Config, or BUCKET_ENDPOINT_URL)',
  whyMissing: () =>
    'there is no bucket: send s3Config, or have BUCKET_ENDPOINT_URL set on the worker',
  /** The bucket of the job, else the bucket of the worker. */
  open(settings: S3Config | undefined, context: StoreContext) {
    const { workerBucket } = context;
    const storage = settings ? openCallerBucket(settings, context) : keptOpen(workerBucket);
    const described = { name: 'S3', itemType: 's3_url' } as const;
    return Promise.resolve(storage && toDestination(storage, described, context));
  },
} as const satisfies Store<typeof S3ConfigSchema>;

/** The worker's bucket is not closed at the end of a job. */
function keptOpen(storage: Storage | undefined): Storage | undefined {
  return (
    storage && {
      put: (file, signal) => storage.put(file, signal),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  );
}

/**
 * The bucket a job brings. Connects to nothing yet.
 * @throws WorkerError `input.invalid` when the settings cannot be a bucket, or the endpoint is not public.
 */
export function openCallerBucket(
  config: S3Config,
  { allowPrivate, urlExpiresS }: Pick<StoreContext, 'allowPrivate' | 'urlExpiresS'>,
): Storage {
  const { bucketName: bucket, objectPath, region } = config;
  const endpoint = new URL(config.endpointUrl);
  const { username, password, search, hash } = endpoint;
  if (username || password || search || hash)
    throw new WorkerError(
      'input.invalid',
      'Expected s3Config.endpointUrl to be scheme, host and path only, without user, query or fragment',
    );
  if (!BUCKET_NAME.test(bucket))
    throw new WorkerError(
      'input.invalid',
      `Expected s3Config.bucketName to be three or more letters, digits, . _ and -, got ${JSON.stringify(bucket)}`,
    );
  const lookup = lookupFor(endpoint, { field: 's3Config.endpointUrl', allowPrivate });
  const settings = {
    ...placeOf(endpoint, { bucket }),
    owner: 'caller',
    bucket,
    region: region === '' ? regionOf(endpoint) : (region ?? regionOf(endpoint)),
    accessKeyId: config.accessId,
    secretAccessKey: config.accessSecret,
    keyTemplate: `${withoutVariables(objectPath ?? '')}/{job_id}/{random}{ext}`,
    urlExpiresS,
  } as const;
  return new S3Storage(settings, { clock: systemClock, ...(lookup && { lookup }) });
}

/**
 * The bucket of the `BUCKET_*` variables; undefined when there is none and results are returned inline. Connects to
 * nothing yet.
 * @throws WorkerError `storage.misconfigured`, with all problems in `details`.
 */
export function openWorkerBucket(
  config: BucketConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Storage | undefined {
  const settings = bucketSettings(config);
  const ignored = ignoredBucketVariables(config);
  if (settings) {
    if (ignored.length > 0)
      log.warn({ ignored }, 'BUCKET_KEY_TEMPLATE is set, so BUCKET_PREFIX has no effect');
    return new S3Storage(settings, { clock });
  }
  if (ignored.length > 0) {
    log.warn(
      { ignored },
      'Bucket settings without BUCKET_ENDPOINT_URL: files are returned as base64',
    );
  }
  return undefined;
}
