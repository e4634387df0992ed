import { expect, test } from '@jest/globals';
import type { Refusal } from './refusal.ts';
import { verifySignature, type SignedRequest } from './signature.ts';

/** Examples from Amazon's documentation, "Signature Calculations" and "Authenticating Requests: Query Parameters". */
const VERIFIER = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  nowMs: Date.UTC(2013, 4, 24),
};
const NO_BYTES = new Uint8Array();
const HASH_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const getObject: SignedRequest = {
  method: 'GET',
  path: '/test.txt',
  query: '',
  headers: {
    host: 'examplebucket.s3.amazonaws.com',
    range: 'bytes=0-9',
    'x-amz-content-sha256': HASH_OF_NOTHING,
    'x-amz-date': '20130524T000000Z',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
  body: NO_BYTES,
};

const putObject: SignedRequest = {
  method: 'PUT',
  path: '/test%24file.text',
  query: '',
  headers: {
    host: 'examplebucket.s3.amazonaws.com',
    date: 'Fri, 24 May 2013 00:00:00 GMT',
    'x-amz-date': '20130524T000000Z',
    'x-amz-storage-class': 'REDUCED_REDUNDANCY',
    'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class,Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  },
  body: Buffer.from('Welcome to Amazon S3.'),
};

const listObjects: SignedRequest = {
  method: 'GET',
  path: '/',
  query: 'max-keys=2&prefix=J',
  headers: {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-date': '20130524T000000Z',
    'x-amz-content-sha256': HASH_OF_NOTHING,
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  },
  body: NO_BYTES,
};

const presigned: SignedRequest = {
  method: 'GET',
  path: '/test.txt',
  query:
    'X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  headers: { host: 'examplebucket.s3.amazonaws.com' },
  body: NO_BYTES,
};

function refusalOf(request: SignedRequest, changes: Partial<typeof VERIFIER> = {}) {
  try {
    verifySignature(request, { ...VERIFIER, ...changes });
    return 'accepted';
  } catch (error) {
    return (error as Refusal).code;
  }
}

test.each([
  ['GET with a range', getObject],
  ['PUT', putObject],
  ['a listing', listObjects],
  ['a presigned URL', presigned],
])('the published example of %s is accepted', (_, request) => {
  expect(refusalOf(request)).toBe('accepted');
});

const signedWith = (headers: Record<string, string | undefined>): SignedRequest => ({
  ...getObject,
  headers: { ...getObject.headers, ...headers },
});

test.each([
  ['another path', { ...getObject, path: '/other.txt' }, 'SignatureDoesNotMatch'],
  ['another method', { ...getObject, method: 'DELETE' }, 'SignatureDoesNotMatch'],
  ['a query that was not signed', { ...getObject, query: 'acl=' }, 'SignatureDoesNotMatch'],
  ['a changed header', signedWith({ range: 'bytes=0-99' }), 'SignatureDoesNotMatch'],
  ['another host', signedWith({ host: 'evil.example' }), 'SignatureDoesNotMatch'],
  ['another body', { ...putObject, body: Buffer.from('Welcome!') }, 'XAmzContentSHA256Mismatch'],
  ['no payload hash', signedWith({ 'x-amz-content-sha256': undefined }), 'InvalidRequest'],
  ['no signature', signedWith({ authorization: undefined }), 'AccessDenied'],
  ['garbage', signedWith({ authorization: 'Basic YTpi' }), 'AuthorizationHeaderMalformed'],
  ['a tampered URL', { ...presigned, path: '/secret.txt' }, 'SignatureDoesNotMatch'],
  [
    'a prolonged URL',
    { ...presigned, query: presigned.query.replace('=86400', '=604800') },
    'SignatureDoesNotMatch',
  ],
  [
    'an endless URL',
    { ...presigned, query: presigned.query.replace('=86400', '=604801') },
    'AuthorizationQueryParametersError',
  ],
])('%s is refused', (_, request, code) => {
  expect(refusalOf(request)).toBe(code);
});

const MINUTE = 60_000;
test('a request with a skewed clock is refused', () => {
  expect(refusalOf(getObject, { nowMs: VERIFIER.nowMs + 14 * MINUTE })).toBe('accepted');
  expect(refusalOf(getObject, { nowMs: VERIFIER.nowMs + 16 * MINUTE })).toBe(
    'RequestTimeTooSkewed',
  );
  expect(refusalOf(getObject, { nowMs: VERIFIER.nowMs - 16 * MINUTE })).toBe(
    'RequestTimeTooSkewed',
  );
});

test('a presigned URL is valid until it expires', () => {
  expect(refusalOf(presigned, { nowMs: VERIFIER.nowMs + 86_400_000 })).toBe('accepted');
  expect(refusalOf(presigned, { nowMs: VERIFIER.nowMs + 86_401_000 })).toBe('AccessDenied');
});

test('a wrong key, secret and region have different errors', () => {
  expect(refusalOf(getObject, { accessKeyId: 'AKIDOTHER' })).toBe('InvalidAccessKeyId');
  expect(refusalOf(getObject, { secretAccessKey: 'other' })).toBe('SignatureDoesNotMatch');
  expect(refusalOf(getObject, { region: 'eu-west-1' })).toBe('AuthorizationHeaderMalformed');
});
