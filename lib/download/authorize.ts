import type { Auth } from './credentials.ts';
import { refused } from './refusal.ts';

/** A request that may hold secrets: never shown. */
export interface Authorized {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

/** Adds what a server wants to be told. Without credentials that match, user and password in the URL count. */
export function authorize(url: URL, auth: Auth | undefined): Authorized {
  const bare = withoutUser(url);
  switch (auth?.type) {
    case undefined:
      return url.username === '' && url.password === ''
        ? { url: bare, headers: {} }
        : { url: bare, headers: basic(decode(url.username), decode(url.password)) };
    case 'bearer':
      return { url: bare, headers: { authorization: `Bearer ${auth.token}` } };
    case 'basic':
      return { url: bare, headers: basic(auth.username, auth.password) };
    case 'header':
      return { url: bare, headers: { [auth.header_name.toLowerCase()]: auth.header_value } };
    case 'query':
      bare.searchParams.set(auth.query_param, auth.query_value);
      return { url: bare, headers: {} };
    case 's3':
      throw refused(url, 'the credentials for it are of the type "s3", which is for s3:// URLs');
  }
}

function withoutUser(url: URL): URL {
  const bare = new URL(url);
  bare.username = '';
  bare.password = '';
  return bare;
}

function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** As it stands when it is no proper escape. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
