/**
 * Redaction of texts that leave the worker: error messages, log lines, results. There is one rule for URLs and one for
 * paths; both are security rules, so nothing else in the project cuts URLs or paths by itself.
 */

/**
 * Scheme, host and path of a URL. User, password, query and fragment are left out: signatures, tokens and keys are there.
 * A text that is not a URL is not shown at all.
 */
export function redactUrl(url: URL | string): string {
  const parsed = typeof url === 'string' ? URL.parse(url) : url;
  return parsed ? `${parsed.protocol}//${parsed.host}${parsed.pathname}` : '(not a URL)';
}

/**
 * Replaces the folders of every absolute path by `mark`; the last part, usually a file name, stays:
 * `cannot open '/srv/models/a.bin'` becomes `cannot open '…/a.bin'`. URLs and relative paths stay as they are.
 */
export function withoutPaths(text: string, mark = '…/'): string {
  return text.replace(QUOTED_FOLDERS, mark).replace(FOLDERS, mark);
}

/** `/srv/`, `C:\Users\`, `file:///srv/`, `\\server\share\`, not after a word, a dot or another slash, and not the `//` of a URL. */
const FOLDERS =
  /(?<![\w.\]/\\])(?<!:(?=\/\/))(?:file:\/{0,3})?(?:[A-Za-z]:)?[\\/]+(?:[^\s/\\'"`()<>]+[\\/]+)+/g;

/** The same between quotes, where folders may have blanks in their names. */
const QUOTED_FOLDERS = /(?<=(['"`]))(?:file:\/{0,3})?(?:[A-Za-z]:)?[\\/](?:(?!\1)[^\n])+[\\/]/g;

/**
 * Splits `https://user:password@host` into the URL without them and the header that says the same. Servers get the header;
 * undici refuses such URLs.
 */
export function withoutUser(url: URL): {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
} {
  const bare = new URL(url);
  bare.username = bare.password = '';
  if (url.username === '' && url.password === '') return { url: bare, headers: {} };
  return { url: bare, headers: basicAuth(unescaped(url.username), unescaped(url.password)) };
}

/** The header of HTTP's basic authentication. */
export function basicAuth(user: string, password: string): { readonly authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

/** Text with an invalid escape is taken literally. */
function unescaped(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
