import type { Clock } from '../clock.ts';
import type { Logger } from '../log.ts';
import { bucketSettings, ignoredBucketVariables, type BucketConfig } from './s3/bucket-settings.ts';
import { S3Storage } from './s3/s3.ts';
import type { Storage } from './storage.ts';

/**
 * The store the settings ask for; undefined when results go back inline. Nothing is connected yet.
 * @throws WorkerError `storage.misconfigured`, with all problems in `details`.
 */
export function openStorage(
  config: BucketConfig,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Storage | undefined {
  const settings = bucketSettings(config);
  if (settings) return new S3Storage(settings, { clock });
  const ignored = ignoredBucketVariables(config);
  if (ignored.length > 0) {
    log.warn(
      { ignored },
      'Bucket settings without BUCKET_ENDPOINT_URL: files are returned as base64',
    );
  }
  return undefined;
}
