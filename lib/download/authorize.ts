import { basicAuth, withoutUser } from '../http/redact.ts';
import type { Auth } from './credentials.ts';
import { refused } from './refusal.ts';

/** A request that may hold secrets: never shown. */
export interface Authorized {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** Adds what a server wants to be told. Without credentials that match, user and password in the URL count. */
export function authorize(url: URL, auth: Auth | undefined): Authorized {
  const { url: bare, headers } = withoutUser(url);
  switch (auth?.type) {
    case undefined:
      return { url: bare, headers };
    case 'bearer':
      return { url: bare, headers: { authorization: `Bearer ${auth.token}` } };
    case 'basic':
      return { url: bare, headers: basicAuth(auth.username, auth.password) };
    case 'header':
      return { url: bare, headers: { [auth.header_name.toLowerCase()]: auth.header_value } };
    case 'query':
      bare.searchParams.set(auth.query_param, auth.query_value);
      return { url: bare, headers: {} };
    case 's3':
      throw refused(url, 'the credentials for it are of the type "s3", which is for s3:// URLs');
  }
}
