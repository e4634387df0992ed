import { isIP } from 'node:net';
import type { Config } from '../../config.ts';
import { WorkerError } from '../../errors.ts';
import { keyTemplateProblem } from '../key.ts';
import { regionOf } from './region.ts';

export interface BucketSettings {
  /** Scheme, host and perhaps a path; without the bucket and without a slash at the end. */
  readonly endpoint: string;
  /** Undefined: the month, as `monthBucket` names it. */
  readonly bucket: string | undefined;
  /** Where in the URL the bucket stands. */
  readonly addressing: 'path' | 'host';
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly keyTemplate: string;
  readonly urlExpiresS: number;
  /** Who set it, and is told what to change: `BUCKET_*`, or `s3Config` of a job. */
  readonly owner: 'operator' | 'caller';
}

export type BucketConfig = Pick<
  Config,
  | 'BUCKET_ENDPOINT_URL'
  | 'BUCKET_ACCESS_KEY_ID'
  | 'BUCKET_SECRET_ACCESS_KEY'
  | 'BUCKET_NAME'
  | 'BUCKET_REGION'
  | 'BUCKET_KEY_TEMPLATE'
  | 'BUCKET_FORCE_PATH_STYLE'
  | 'BUCKET_URL_EXPIRES_S'
>;

/**
 * What the `BUCKET_*` variables ask for; undefined when there is no endpoint.
 *
 * Without `BUCKET_NAME` the URL is the endpoint, the month and the key, as with the Python worker. For an endpoint that has
 * the bucket in its host or path, the month is a folder; for any other it is a bucket that has to exist.
 * @throws WorkerError `storage.misconfigured`, with all problems in `details`.
 */
export function bucketSettings(config: BucketConfig): BucketSettings | undefined {
  if (config.BUCKET_ENDPOINT_URL === undefined) return undefined;
  const problems = problemsOf(config, new URL(config.BUCKET_ENDPOINT_URL));
  if (problems.length > 0) throw misconfigured(problems);
  return settingsOf(config, new URL(config.BUCKET_ENDPOINT_URL));
}

/** The variables that are set but mean nothing, because there is no endpoint. */
export function ignoredBucketVariables(config: BucketConfig): string[] {
  if (config.BUCKET_ENDPOINT_URL !== undefined) return [];
  const named = [
    'BUCKET_ACCESS_KEY_ID',
    'BUCKET_SECRET_ACCESS_KEY',
    'BUCKET_NAME',
    'BUCKET_REGION',
  ] as const;
  return named.filter((name) => config[name] !== undefined);
}

function settingsOf(config: BucketConfig, endpoint: URL): BucketSettings {
  return {
    ...placeOf(endpoint, { bucket: config.BUCKET_NAME, forcePath: config.BUCKET_FORCE_PATH_STYLE }),
    owner: 'operator',
    bucket: config.BUCKET_NAME,
    region: config.BUCKET_REGION ?? regionOf(endpoint),
    accessKeyId: config.BUCKET_ACCESS_KEY_ID ?? '',
    secretAccessKey: config.BUCKET_SECRET_ACCESS_KEY ?? '',
    keyTemplate: config.BUCKET_KEY_TEMPLATE,
    urlExpiresS: config.BUCKET_URL_EXPIRES_S,
  };
}

/** Takes the bucket out of an endpoint that already has it, so that it is not there twice. */
export function placeOf(
  endpoint: URL,
  {
    bucket,
    forcePath,
  }: { readonly bucket: string | undefined; readonly forcePath?: boolean | undefined },
): Pick<BucketSettings, 'endpoint' | 'addressing'> {
  const path = endpoint.pathname.replace(/\/+$/, '');
  const base = (host: string, prefix = path) => `${endpoint.protocol}//${host}${prefix}`;
  if (bucket === undefined) return { endpoint: base(endpoint.host), addressing: 'path' };
  if (isInHost(bucket, endpoint)) {
    const host = endpoint.host.slice(bucket.length + 1);
    const inHost = fitsHost(bucket) && forcePath !== true;
    return { endpoint: base(host), addressing: inHost ? 'host' : 'path' };
  }
  const prefix = path.endsWith(`/${bucket}`) ? path.slice(0, -bucket.length - 1) : path;
  const addressing = forcePath === false ? 'host' : 'path';
  return { endpoint: base(endpoint.host, prefix), addressing };
}

function problemsOf(config: BucketConfig, endpoint: URL): string[] {
  const template = keyTemplateProblem(config.BUCKET_KEY_TEMPLATE);
  return [
    ...missingKeys(config),
    ...endpointProblems(endpoint),
    ...addressingProblems(config, endpoint),
    ...(template === undefined ? [] : [`BUCKET_KEY_TEMPLATE ${template}`]),
  ];
}

function missingKeys(config: BucketConfig): string[] {
  const required = ['BUCKET_ACCESS_KEY_ID', 'BUCKET_SECRET_ACCESS_KEY'] as const;
  return required
    .filter((name) => config[name] === undefined)
    .map(
      (name) =>
        `${name} is missing; BUCKET_ENDPOINT_URL needs it (remove the endpoint to return images as base64)`,
    );
}

function endpointProblems({ username, password, search, hash }: URL): string[] {
  if (!username && !password && !search && !hash) return [];
  return [
    'BUCKET_ENDPOINT_URL must be scheme, host and path only, without user, query or fragment',
  ];
}

function addressingProblems(config: BucketConfig, endpoint: URL): string[] {
  const bucket = config.BUCKET_NAME;
  if (bucket !== undefined && !BUCKET_NAME.test(bucket)) {
    return [
      `BUCKET_NAME ${JSON.stringify(bucket)} is not a bucket's name: letters, digits, . _ and -`,
    ];
  }
  if (config.BUCKET_FORCE_PATH_STYLE !== false) return [];
  if (bucket === undefined) return ['BUCKET_FORCE_PATH_STYLE=false needs BUCKET_NAME'];
  if (isIP(endpoint.hostname.replace(/[[\]]/g, '')) !== 0) {
    return ['BUCKET_FORCE_PATH_STYLE=false needs an endpoint with a host name, not an IP address'];
  }
  if (fitsHost(bucket)) return [];
  return [
    `BUCKET_FORCE_PATH_STYLE=false cannot put ${bucket} into a host name; only lower case, digits and - fit`,
  ];
}

function misconfigured(problems: readonly string[]): WorkerError {
  return new WorkerError(
    'storage.misconfigured',
    `The bucket settings are not usable:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    { details: problems },
  );
}

function isInHost(bucket: string, { hostname }: URL): boolean {
  return hostname.startsWith(`${bucket.toLowerCase()}.`);
}

/** Dots do not: the certificate of a store covers one label only. */
function fitsHost(bucket: string): boolean {
  return /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket);
}

/** Old buckets may have upper case and underscores. */
export const BUCKET_NAME = /^[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9]$/;
