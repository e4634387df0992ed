import { z } from 'zod';
import { GlobSchema, matchesGlob } from '../glob.ts';
import { basicAuth, withoutUser } from '../http/redact.ts';
import { refused } from './download-error.ts';

/** Credentials that a caller sends for downloads: their shape, the URLs they are for, and how a request uses them. */

const secret = z.string().min(1);

const AuthSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('bearer'),
    token: z.string().regex(/^[!-~]+$/, 'must be a token'),
  }),
  z.strictObject({ type: z.literal('basic'), username: z.string(), password: z.string() }),
  z.strictObject({
    type: z.literal('header'),
    header_name: z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'must be the name of a header'),
    header_value: z.string().regex(/^[\t -~\u0080-\u00ff]*$/, 'must be one line of Latin-1'),
  }),
  z.strictObject({ type: z.literal('query'), query_param: secret, query_value: z.string() }),
  z.strictObject({
    type: z.literal('s3'),
    access_key_id: secret,
    secret_access_key: secret,
    session_token: secret.optional(),
    region: secret.optional(),
    endpoint: z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' }).optional(),
  }),
]);

/** Secrets for one server. They stay in memory for the life of a job and never appear in a log or an error. */
type Auth = z.infer<typeof AuthSchema>;

const CredentialSchema = z
  .strictObject({ url_pattern: GlobSchema, auth: AuthSchema })
  .transform(({ url_pattern: urlPattern, auth }) => ({ isMeant: toUrlTest(urlPattern), auth }));

const MAX_CREDENTIALS = 100;

/** `[{url_pattern, auth}]` as callers send it. The first one whose pattern matches a URL is used for it. */
export const CredentialsSchema = z.array(CredentialSchema).max(MAX_CREDENTIALS);

export type Credential = z.infer<typeof CredentialSchema>;

/** The credentials for a URL. Called again for every redirect, so that no secret goes to a server it is not meant for. */
export function authFor(
  { protocol, host, pathname, search }: URL,
  credentials: readonly Credential[],
): Auth | undefined {
  const plain = `${protocol}//${host}${pathname}${search}`;
  return credentials.find(({ isMeant }) => isMeant(plain))?.auth;
}

/**
 * A test for whole URLs: `*` matches anything but a slash, `**` matches anything, every other character matches itself. A
 * pattern without a scheme is for https. It matches http only if it says so, because others can read a secret sent that way.
 */
function toUrlTest(pattern: string): (url: string) => boolean {
  const [, scheme = 'https', host = '', rest = ''] =
    /^(?:([a-z][a-z0-9]*|\*+):\/\/)?([^/]*)(.*)$/is.exec(pattern) ?? [];
  const wanted = scheme.startsWith('*') ? 'https' : scheme;
  const plain = `${wanted.toLowerCase()}://${host.toLowerCase()}${rest}`;
  return (url) => matchesGlob(plain, url, { barrier: '/' });
}

/**
 * Adds credentials to a request. Without any, user and password in the URL are used. The result may hold secrets and must
 * never be shown.
 */
export function authorize(
  url: URL,
  auth: Auth | undefined,
): { readonly url: URL; readonly headers: Readonly<Record<string, string>> } {
  const bare = withoutUser(url);
  switch (auth?.type) {
    case undefined:
      return bare;
    case 'bearer':
      return { url: bare.url, headers: { authorization: `Bearer ${auth.token}` } };
    case 'basic':
      return { url: bare.url, headers: basicAuth(auth.username, auth.password) };
    case 'header':
      return { url: bare.url, headers: { [auth.header_name.toLowerCase()]: auth.header_value } };
    case 'query':
      bare.url.searchParams.set(auth.query_param, auth.query_value);
      return { url: bare.url, headers: {} };
    case 's3':
      throw refused(url, 'the credentials for it are of the type "s3", which is for s3:// URLs');
  }
}

/**
 * The http(s) URL for `s3://bucket/key`: presigned for an hour with the credentials for it, or without any, the object's URL
 * at Amazon, which is enough for public objects.
 */
export async function toHttpUrl(url: URL, credentials: readonly Credential[]): Promise<URL> {
  const auth = authFor(url, credentials);
  if (auth && auth.type !== 's3') {
    throw refused(url, `the credentials for it are of the type "${auth.type}"; s3:// needs "s3"`);
  }
  const [bucket, key] = [url.host, decodeLeniently(url.pathname.slice(1))];
  if (bucket === '' || key === '') throw refused(url, 'expected s3://bucket/key');
  if (auth) return await presign({ bucket, key }, auth);
  const path = key.split('/').map(encodeURIComponent).join('/');
  return new URL(`https://${bucket}.s3.amazonaws.com/${path}`);
}

async function presign(
  { bucket, key }: { readonly bucket: string; readonly key: string },
  auth: Extract<Auth, { type: 's3' }>,
): Promise<URL> {
  const [{ GetObjectCommand, S3Client }, { getSignedUrl }] = await Promise.all([
    import('@aws-sdk/client-s3'),
    import('@aws-sdk/s3-request-presigner'),
  ]);
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token } = auth;
  const client = new S3Client({
    region: auth.region ?? 'us-east-1',
    credentials: {
      accessKeyId,
      secretAccessKey,
      ...(session_token === undefined ? {} : { sessionToken: session_token }),
    },
    // Stores other than Amazon's expect the bucket in the path.
    ...(auth.endpoint === undefined ? {} : { endpoint: auth.endpoint, forcePathStyle: true }),
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  try {
    const command = new GetObjectCommand({ Bucket: bucket, Key: key });
    return new URL(await getSignedUrl(client, command, { expiresIn: 3600 }));
  } finally {
    client.destroy();
  }
}

/** Decodes escapes. A text with an invalid escape is taken literally. */
export function decodeLeniently(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
