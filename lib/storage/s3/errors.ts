import { STATUS_CODES } from 'node:http';
import { describeError, errnoOf, isError, WorkerError } from '../../errors.ts';
import { NEVER_CONNECTED } from '../../http/failure.ts';
import { NOT_PUBLIC } from '../../http/public-address.ts';
import type { BucketSettings } from './settings.ts';

/** One attempt and three retries, as with the Python worker. */
export const MAX_ATTEMPTS = 4;

/** The object that could not be stored. */
interface Target {
  /** Unsigned. */
  readonly url: string;
  readonly bucket: string;
  readonly owner: BucketSettings['owner'];
}

/**
 * The SDK's error in boto3's words, which clients know, with advice where a code allows it. A refusal is not kept as the
 * cause: stores repeat the access key and the signed text in it.
 */
export function uploadFailed(error: unknown, target: Target): WorkerError {
  const refusal = maybeRefusal(error);
  if (refusal) return new WorkerError('storage.upload_failed', refusalText(refusal, target));
  return new WorkerError('storage.upload_failed', connectionText(error, target), { cause: error });
}

/** An answer of the store with an error status. */
interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly attempts: number;
  /** The region the store expects, if it says so. */
  readonly region: string | undefined;
}

function maybeRefusal(error: unknown): Refusal | undefined {
  if (!isError(error) || !('$metadata' in error)) return undefined;
  const { httpStatusCode, attempts = 1 } = error.$metadata as {
    httpStatusCode?: number;
    attempts?: number;
  };
  if (httpStatusCode === undefined) return undefined;
  const named = /^(?:Unknown|UnknownError|Error|SyntaxError)$/.test(error.name)
    ? undefined
    : error.name;
  return {
    code: textOf(error, 'Code') ?? named ?? String(httpStatusCode),
    message: hasOwnText(error)
      ? error.message
      : (STATUS_CODES[httpStatusCode] ?? `status ${httpStatusCode} without a reason`),
    attempts,
    region: textOf(error, 'Region'),
  };
}

/** False for the text the SDK makes up when an answer has no body, or one that is not XML (the page of a proxy). */
function hasOwnText({ message }: Error): boolean {
  return message !== '' && message !== 'UnknownError' && !message.includes('$response');
}

function refusalText(refusal: Refusal, target: Target): string {
  const { code, message, attempts } = refusal;
  const retried = attempts < MAX_ATTEMPTS ? '' : ` (reached max retries: ${attempts - 1})`;
  const advice = ADVICE[code]?.(refusal, NAMES[target.owner], target);
  return (
    `An error occurred (${code}) when calling the PutObject operation${retried}: ${message}` +
    (advice === undefined ? '' : ` (${advice})`)
  );
}

const regionAdvice: Advice = ({ region }, names) =>
  region === undefined
    ? `set ${names.region} to the region of the bucket`
    : `set ${names.region} to ${region}`;

type Advice = (refusal: Refusal, names: Names, target: Target) => string;

const ADVICE: Readonly<Record<string, Advice>> = {
  NoSuchBucket: (_, { bucketName }, { bucket }) =>
    `create the bucket ${bucket}, or set ${bucketName} to one that exists`,
  AccessDenied: (_refusal, _names, { bucket }) =>
    `the key needs the right to put objects into ${bucket}`,
  InvalidAccessKeyId: (_, { keyId, endpoint }) => `check ${keyId} and ${endpoint}`,
  SignatureDoesNotMatch: (_, { secret, region }) => `check ${secret} and ${region}`,
  AuthorizationHeaderMalformed: regionAdvice,
  PermanentRedirect: regionAdvice,
  RequestTimeTooSkewed: () => 'the clock of this machine is wrong',
};

/** The names of a bucket's settings, for its owner. */
type Names = Readonly<Record<'endpoint' | 'bucketName' | 'region' | 'keyId' | 'secret', string>>;

const NAMES: Readonly<Record<Target['owner'], Names>> = {
  operator: {
    endpoint: 'BUCKET_ENDPOINT_URL',
    bucketName: 'BUCKET_NAME',
    region: 'BUCKET_REGION',
    keyId: 'BUCKET_ACCESS_KEY_ID',
    secret: 'BUCKET_SECRET_ACCESS_KEY',
  },
  caller: {
    endpoint: 's3Config.endpointUrl',
    bucketName: 's3Config.bucketName',
    region: 's3Config.region',
    keyId: 's3Config.accessId',
    secret: 's3Config.accessSecret',
  },
};

function connectionText(error: unknown, { url }: Target): string {
  const code = socketCodeOf(error) ?? '';
  if (code === 'EPRIVATE') return `"${url}" is ${NOT_PUBLIC.upload}`;
  if (NEVER_CONNECTED.has(code)) return `Could not connect to the endpoint URL: "${url}"`;
  if (CONNECTION_LOST.has(code)) {
    return `Connection was closed before we received a valid response from endpoint URL: "${url}"`;
  }
  if (isError(error) && error.name === 'TimeoutError') {
    const phase = error.message.includes('establish a connection') ? 'Connect' : 'Read';
    return `${phase} timeout on endpoint URL: "${url}"`;
  }
  return `${describeError(error)} (PUT "${url}")`;
}

/** The SDK wraps errors of another realm (in tests, all of Node's); then only the text contains the code. */
function socketCodeOf(error: unknown): string | undefined {
  return errnoOf(error) ?? /\bE[A-Z]+(?:_[A-Z]+)?\b/.exec(describeError(error))?.[0];
}

const CONNECTION_LOST: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED']);

function textOf(error: object, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}
