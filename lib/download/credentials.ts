import { z } from 'zod';
import { toUrlTest } from './url-pattern.ts';

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

/** What a server is told so that it lets us in. Held in memory for the life of a job, and shown nowhere. */
export type Auth = z.infer<typeof AuthSchema>;
export type S3Auth = Extract<Auth, { type: 's3' }>;

const CredentialSchema = z
  .strictObject({ url_pattern: z.string().min(1), auth: AuthSchema })
  .transform(({ url_pattern: urlPattern, auth }) => ({ isMeant: toUrlTest(urlPattern), auth }));

/** `[{url_pattern, auth}]` as callers send it; for a URL the first that matches counts. */
export const CredentialsSchema = z.array(CredentialSchema);

export type Credential = z.infer<typeof CredentialSchema>;

/** What is to be told where `url` leads; asked anew at every redirect, so that no secret goes where it is not meant to. */
export function authFor(
  { protocol, host, pathname, search }: URL,
  credentials: readonly Credential[],
): Auth | undefined {
  const plain = `${protocol}//${host}${pathname}${search}`;
  return credentials.find(({ isMeant }) => isMeant(plain))?.auth;
}
