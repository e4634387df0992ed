import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { Refusal } from './refusal.ts';

/**
 * Checks AWS Signature Version 4. Written from the published algorithm, so that it shares no code with the client under
 * test:
 *
 *     canonical request  method, path, sorted query, signed headers, hash of the payload
 *     text to sign       AWS4-HMAC-SHA256, time, scope (day/region/s3/aws4_request), hash of the canonical request
 *     key                chained HMAC of day, region, s3 and aws4_request, starting with the secret
 *
 * The signature is in the `Authorization` header or, for a presigned URL, in the query.
 */
export interface SignedRequest {
  readonly method: string;
  /** As on the request line. */
  readonly path: string;
  /** As on the request line, without `?`. */
  readonly query: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
}

export interface Verifier {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

interface Claim {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly scope: string;
  /** `YYYYMMDDTHHMMSSZ` */
  readonly time: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
  readonly payloadHash: string;
}

/** @throws Refusal when the signature is missing, wrong, expired, or for another key or region. */
export function verifySignature(request: SignedRequest, verifier: Verifier): void {
  const presigned = new URLSearchParams(request.query).has('X-Amz-Signature');
  const claim = presigned ? claimOfQuery(request) : claimOfHeader(request);
  if (claim.accessKeyId !== verifier.accessKeyId) {
    throw new Refusal(
      403,
      'InvalidAccessKeyId',
      'The AWS Access Key Id you provided does not exist in our records.',
      {
        AWSAccessKeyId: claim.accessKeyId,
      },
    );
  }
  if (claim.region !== verifier.region) throw wrongRegion(claim, verifier, presigned);
  if (presigned) checkExpiry(request, claim, verifier);
  else checkSkew(claim, verifier);
  checkSignature(request, claim, verifier);
  checkPayload(request, claim);
}

function claimOfHeader(request: SignedRequest): Claim {
  const authorization = headerOf(request, 'authorization');
  if (authorization === '') throw new Refusal(403, 'AccessDenied', 'Access Denied');
  const match =
    /^AWS4-HMAC-SHA256\s+Credential=(?<credential>[^,]+),\s*SignedHeaders=(?<headers>[^,]+),\s*Signature=(?<signature>[0-9a-f]{64})$/.exec(
      authorization,
    );
  if (!match?.groups) throw malformed('header', 'it cannot be parsed.');
  const { credential = '', headers = '', signature = '' } = match.groups;
  const payloadHash = headerOf(request, 'x-amz-content-sha256');
  if (payloadHash === '') {
    throw new Refusal(
      400,
      'InvalidRequest',
      'Missing required header for this request: x-amz-content-sha256',
    );
  }
  return {
    ...scopeOf(credential, 'header'),
    time: headerOf(request, 'x-amz-date'),
    signedHeaders: headers.split(';'),
    signature,
    payloadHash,
  };
}

function claimOfQuery(request: SignedRequest): Claim {
  const query = new URLSearchParams(request.query);
  if (query.get('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256') {
    throw malformed('query', 'X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"');
  }
  return {
    ...scopeOf(query.get('X-Amz-Credential') ?? '', 'query'),
    time: query.get('X-Amz-Date') ?? '',
    signedHeaders: (query.get('X-Amz-SignedHeaders') ?? '').split(';'),
    signature: query.get('X-Amz-Signature') ?? '',
    payloadHash: 'UNSIGNED-PAYLOAD',
  };
}

function scopeOf(credential: string, place: 'header' | 'query') {
  const parts = credential.split('/');
  const [accessKeyId = '', day = '', region = '', service, end] = parts;
  if (parts.length !== 5 || service !== 's3' || end !== 'aws4_request') {
    throw malformed(
      place,
      'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    );
  }
  return { accessKeyId, day, region, scope: parts.slice(1).join('/') };
}

function checkSkew(claim: Claim, { nowMs }: Verifier): void {
  if (Math.abs(timeOf(claim) - nowMs) <= MAX_SKEW_MS) return;
  throw new Refusal(
    403,
    'RequestTimeTooSkewed',
    'The difference between the request time and the current time is too large.',
    {
      RequestTime: claim.time,
      ServerTime: new Date(nowMs).toISOString(),
    },
  );
}

function checkExpiry({ query }: SignedRequest, claim: Claim, { nowMs }: Verifier): void {
  const seconds = Number(new URLSearchParams(query).get('X-Amz-Expires') ?? NaN);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_EXPIRES_S) {
    throw malformed('query', 'X-Amz-Expires must be between 1 and 604800 seconds');
  }
  const from = timeOf(claim);
  if (nowMs < from - MAX_SKEW_MS)
    throw new Refusal(403, 'AccessDenied', 'Request is not valid yet');
  if (nowMs > from + seconds * 1000) throw new Refusal(403, 'AccessDenied', 'Request has expired');
}

function checkSignature(request: SignedRequest, claim: Claim, verifier: Verifier): void {
  if (!claim.signedHeaders.includes('host')) throw malformed('header', 'host must be signed.');
  const canonical = canonicalRequest(request, claim);
  const text = ['AWS4-HMAC-SHA256', claim.time, claim.scope, sha256(canonical)].join('\n');
  const key = [claim.day, claim.region, 's3', 'aws4_request'].reduce<string | Buffer>(
    (previous, part) => createHmac('sha256', previous).update(part).digest(),
    `AWS4${verifier.secretAccessKey}`,
  );
  const expected = createHmac('sha256', key).update(text).digest();
  const given = Buffer.from(claim.signature, 'hex');
  if (given.length === expected.length && timingSafeEqual(given, expected)) return;
  throw new Refusal(
    403,
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
    { AWSAccessKeyId: claim.accessKeyId, StringToSign: text, CanonicalRequest: canonical },
  );
}

function checkPayload({ body }: SignedRequest, { payloadHash }: Claim): void {
  if (payloadHash === 'UNSIGNED-PAYLOAD' || payloadHash === sha256(body)) return;
  throw new Refusal(
    400,
    'XAmzContentSHA256Mismatch',
    "The provided 'x-amz-content-sha256' header does not match what was computed.",
  );
}

function canonicalRequest(request: SignedRequest, claim: Claim): string {
  const headers = claim.signedHeaders.map(
    (name) => `${name}:${headerOf(request, name).trim().replace(/ +/g, ' ')}\n`,
  );
  return [
    request.method,
    canonicalPath(request.path),
    canonicalQuery(request.query),
    headers.join(''),
    claim.signedHeaders.join(';'),
    claim.payloadHash,
  ].join('\n');
}

function canonicalPath(path: string): string {
  return path
    .split('/')
    .map((segment) => encode(decodeURIComponent(segment)))
    .join('/');
}

function canonicalQuery(query: string): string {
  return query
    .split('&')
    .filter((pair) => pair !== '' && !pair.startsWith('X-Amz-Signature='))
    .map((pair) => {
      const [name = '', value = ''] = pair.split('=', 2);
      return `${encode(decodeURIComponent(name))}=${encode(decodeURIComponent(value))}`;
    })
    .sort()
    .join('&');
}

/** RFC 3986: everything but A-Z a-z 0-9 - _ . ~ is escaped. */
function encode(text: string): string {
  return Array.from(Buffer.from(text), (byte) =>
    /[\w.~-]/.test(String.fromCharCode(byte))
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('');
}

function timeOf({ time, day }: Claim): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time);
  if (!match || !time.startsWith(day)) {
    throw new Refusal(
      403,
      'AccessDenied',
      'AWS authentication requires a valid Date or x-amz-date header',
    );
  }
  const [year = 0, month = 1, date, hours, minutes, seconds] = match.slice(1).map(Number);
  return Date.UTC(year, month - 1, date, hours, minutes, seconds);
}

function wrongRegion({ region }: Claim, verifier: Verifier, presigned: boolean): Refusal {
  const text = `the region '${region}' is wrong; expecting '${verifier.region}'`;
  return malformed(presigned ? 'query' : 'header', text, { Region: verifier.region });
}

function malformed(
  place: 'header' | 'query',
  reason: string,
  extra: Readonly<Record<string, string>> = {},
): Refusal {
  return place === 'header'
    ? new Refusal(
        400,
        'AuthorizationHeaderMalformed',
        `The authorization header is malformed; ${reason}`,
        extra,
      )
    : new Refusal(
        400,
        'AuthorizationQueryParametersError',
        `Error parsing the X-Amz-Credential parameter; ${reason}`,
        extra,
      );
}

function headerOf({ headers }: SignedRequest, name: string): string {
  const value = headers[name] ?? '';
  return typeof value === 'string' ? value : value.join(',');
}

function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

const MAX_SKEW_MS = 15 * 60_000;
const MAX_EXPIRES_S = 604_800;
