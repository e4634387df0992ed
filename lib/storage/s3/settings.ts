import { isIP } from 'node:net';
import type { Config } from '../../config.ts';
import { WorkerError } from '../../errors.ts';
import { under } from '../../http/base-url.ts';
import { keyTemplateProblem, withoutVariables } from '../key.ts';

export interface BucketSettings {
  /** Scheme, host and optionally a path, without the bucket and without a slash at the end. */
  readonly endpoint: string;
  /** Undefined: the month, `MM-YY`. */
  readonly bucket: string | undefined;
  /** The bucket is the first segment of the path, or the first label of the host. */
  readonly addressing: 'path' | 'host';
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly keyTemplate: string;
  readonly urlExpiresS: number;
  /** Error messages name the settings of this owner: `BUCKET_*` of the operator, or `s3Config` of the caller. */
  readonly owner: 'operator' | 'caller';
}

export type BucketConfig = Pick<
  Config,
  | 'BUCKET_ENDPOINT_URL'
  | 'BUCKET_ACCESS_KEY_ID'
  | 'BUCKET_SECRET_ACCESS_KEY'
  | 'BUCKET_NAME'
  | 'BUCKET_REGION'
  | 'AWS_DEFAULT_REGION'
  | 'AWS_REGION'
  | 'BUCKET_PREFIX'
  | 'BUCKET_KEY_TEMPLATE'
  | 'BUCKET_FORCE_PATH_STYLE'
  | 'BUCKET_URL_EXPIRES_S'
>;

/**
 * The bucket of the `BUCKET_*` variables; undefined without an endpoint.
 *
 * Without `BUCKET_NAME` the URL of an object is endpoint, month and key, as with the Python worker. If the endpoint contains
 * a bucket in its host or path, the month is a folder; otherwise it is a bucket, which must exist.
 * @throws WorkerError `storage.misconfigured`, with all problems in `details`.
 */
export function bucketSettings(config: BucketConfig): BucketSettings | undefined {
  if (config.BUCKET_ENDPOINT_URL === undefined) return undefined;
  const endpoint = new URL(config.BUCKET_ENDPOINT_URL);
  const problems = problemsOf(config, endpoint);
  if (problems.length > 0) {
    const lines = problems.map((problem) => `  ${problem}`).join('\n');
    const text = `The bucket settings are not usable:\n${lines}`;
    throw new WorkerError('storage.misconfigured', text, { details: problems });
  }
  return {
    ...placeOf(endpoint, { bucket: config.BUCKET_NAME, forcePath: config.BUCKET_FORCE_PATH_STYLE }),
    owner: 'operator',
    bucket: config.BUCKET_NAME,
    region:
      config.BUCKET_REGION ?? regionOf(endpoint, config.AWS_DEFAULT_REGION ?? config.AWS_REGION),
    accessKeyId: config.BUCKET_ACCESS_KEY_ID ?? '',
    secretAccessKey: config.BUCKET_SECRET_ACCESS_KEY ?? '',
    keyTemplate: keyTemplateOf(config),
    urlExpiresS: config.BUCKET_URL_EXPIRES_S,
  };
}

/** An explicit template wins over a prefix. Without both, keys are those of the Python worker. */
function keyTemplateOf({ BUCKET_KEY_TEMPLATE, BUCKET_PREFIX }: BucketConfig): string {
  if (BUCKET_KEY_TEMPLATE !== undefined) return BUCKET_KEY_TEMPLATE;
  if (BUCKET_PREFIX !== undefined) return `${withoutVariables(BUCKET_PREFIX)}/{job_id}/{filename}`;
  return '{job_id}/{random}{ext}';
}

/** Variables that are set but have no effect: without an endpoint, or because another one wins. */
export function ignoredBucketVariables(config: BucketConfig): string[] {
  const hasBoth = config.BUCKET_PREFIX !== undefined && config.BUCKET_KEY_TEMPLATE !== undefined;
  if (config.BUCKET_ENDPOINT_URL !== undefined) return hasBoth ? ['BUCKET_PREFIX'] : [];
  const named = [
    'BUCKET_ACCESS_KEY_ID',
    'BUCKET_SECRET_ACCESS_KEY',
    'BUCKET_NAME',
    'BUCKET_REGION',
    'BUCKET_PREFIX',
  ] as const;
  return named.filter((name) => config[name] !== undefined);
}

/** Removes the bucket from an endpoint that contains it already, so that URLs do not contain it twice. */
export function placeOf(
  endpoint: URL,
  {
    bucket,
    forcePath,
  }: { readonly bucket: string | undefined; readonly forcePath?: boolean | undefined },
): Pick<BucketSettings, 'endpoint' | 'addressing'> {
  const path = under(endpoint.pathname, '');
  const base = (host: string, prefix = path) => `${endpoint.protocol}//${host}${prefix}`;
  if (bucket === undefined) return { endpoint: base(endpoint.host), addressing: 'path' };
  if (endpoint.hostname.startsWith(`${bucket.toLowerCase()}.`)) {
    const host = endpoint.host.slice(bucket.length + 1);
    const inHost = fitsHost(bucket) && forcePath !== true;
    return { endpoint: base(host), addressing: inHost ? 'host' : 'path' };
  }
  const prefix = path.endsWith(`/${bucket}`) ? path.slice(0, -bucket.length - 1) : path;
  const addressing = forcePath === false ? 'host' : 'path';
  return { endpoint: base(endpoint.host, prefix), addressing };
}

function problemsOf(config: BucketConfig, endpoint: URL): string[] {
  const missing = (['BUCKET_ACCESS_KEY_ID', 'BUCKET_SECRET_ACCESS_KEY'] as const).filter(
    (name) => config[name] === undefined,
  );
  const { username, password, search, hash } = endpoint;
  const template = keyTemplateProblem(keyTemplateOf(config));
  return [
    ...missing.map(
      (name) =>
        `${name} is missing; BUCKET_ENDPOINT_URL needs it (remove the endpoint to return images as base64)`,
    ),
    ...(username || password || search || hash
      ? ['BUCKET_ENDPOINT_URL must be scheme, host and path only, without user, query or fragment']
      : []),
    ...addressingProblems(config, endpoint),
    ...(template === undefined ? [] : [`BUCKET_KEY_TEMPLATE ${template}`]),
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

/** A name with dots does not fit: the certificate of a store covers one label only. */
function fitsHost(bucket: string): boolean {
  return /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket);
}

/** Names of buckets. Old ones may have upper case and underscores. */
export const BUCKET_NAME = /^[A-Za-z0-9][\w.-]{1,253}[A-Za-z0-9]$/;

/**
 * The region to sign for, read from the host name of an endpoint, else `otherwise`. Most stores refuse a wrong one
 * (`AuthorizationHeaderMalformed`, `SignatureDoesNotMatch`).
 */
export function regionOf(endpoint: URL, otherwise = 'us-east-1'): string {
  for (const { host, region } of REGION_RULES) {
    const match = host.exec(endpoint.hostname);
    if (match) return region ?? match.groups?.region ?? otherwise;
  }
  return otherwise;
}

/**
 * The first match wins. `host` is matched from the end of the host name, because a bucket may come first; its group
 * `region` is the region, unless `region` says another.
 */
const REGION_RULES: readonly { readonly host: RegExp; readonly region?: string }[] = [
  // s3.REGION, s3-REGION, s3-fips.REGION, s3.dualstack.REGION, and endpoints of a VPC.
  {
    host: /(?:^|\.)s3(?:-fips)?[.-](?:dualstack\.)?(?<region>[a-z]+(?:-[a-z]+)+-\d+)(?:\.vpce)?\.amazonaws\.com(?:\.cn)?$/,
  },
  // Hosts without a region: s3.amazonaws.com, s3-accelerate, s3-external-1.
  { host: /\.amazonaws\.com$/ },
  { host: /\.r2\.cloudflarestorage\.com$/, region: 'auto' },
  { host: /(?:^|\.)storage\.googleapis\.com$/, region: 'auto' },
  { host: /(?:^|\.)(?:fly\.storage\.tigris|t3\.storage)\.dev$/, region: 'auto' },
  { host: /(?:^|\.)s3api-(?<region>[a-z]+(?:-[a-z]+)+-\d+)\.runpod\.io$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.digitaloceanspaces\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]+(?:-[a-z]+)+-\d+)\.linodeobjects\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.your-objectstorage\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.vultrobjects\.com$/ },
  { host: /(?:^|\.)sos-(?<region>[a-z]{2}-[a-z]+-\d)\.exo\.io$/ },
  { host: /(?:^|\.)(?<region>oss-[a-z]+-[a-z-]+\d?)\.aliyuncs\.com$/ },
  { host: /\.compat\.objectstorage\.(?<region>[a-z]+-[a-z]+-\d)\.oraclecloud\.com$/ },
  { host: /(?:^|\.)s3\.(?<region>[a-z]{2}-[a-z]{3})\.scw\.cloud$/ },
  { host: /(?:^|\.)s3\.(?<region>[a-z0-9-]+)\.(?:io\.|perf\.)?cloud\.ovh\.[a-z]+$/ },
  // Most others: Backblaze, Wasabi, IONOS. `s3.local` and `s3.my-company.com` contain no region.
  { host: /(?:^|\.)s3[.-](?<region>[a-z]+(?:-[a-z]+)+-\d+)\.[^.]+\.[^.]+/ },
];
