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
 * `cannot open '/srv/models/a.bin'` becomes `cannot open '…/a.bin'`. URLs and relative paths stay as they are. When in
 * doubt, more is replaced rather than less.
 */
export function withoutPaths(text: string, mark = '…/'): string {
  return text.replace(PATH_OR_URL, (found, url: string | undefined) =>
    url === undefined ? mark : found,
  );
}

/**
 * A line of another program's log as callers may see it: without folders, without user and query of URLs, without
 * `secrets` and anything that looks like one. Lines are at most some thousand characters.
 */
export function redactLine(line: string, secrets: readonly string[] = []): string {
  let text = line;
  for (const secret of secrets) if (secret !== '') text = text.replaceAll(secret, REDACTED);
  text = text.replace(ANY_URL, (url) => redactUrl(url));
  for (const [pattern, shown] of SECRETS) text = text.replace(pattern, shown);
  return withoutPaths(text, '');
}

const REDACTED = '[redacted]';
const ANY_URL = /\b(?!file:)[a-z][a-z0-9+.-]{1,15}:\/\/[^\s"'`<>]+/gi;

const SECRETS: readonly (readonly [RegExp, string])[] = [
  [/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, `$1 ${REDACTED}`],
  [
    /((?:api[-_]?key|token|secret|passw(?:or)?d|authorization|credential)[\w-]*["']?\s*[:=]\s*["']?)(?!\[redacted|bearer|basic)[^\s"',;&]+/gi,
    `$1${REDACTED}`,
  ],
  // Tokens of Hugging Face, OpenAI, GitHub, RunPod, AWS, and JSON web tokens.
  [/\b(?:hf_|sk-|gh[pousr]_|rpa_|AKIA|ASIA|eyJ)[\w.-]{12,}/g, REDACTED],
];

/** The URL of a file is a path, other URLs are not. Paths in the query of a URL are replaced. */
const URL_BEFORE_QUERY = /(?<![\w.+-])((?!file:)[a-z][a-z0-9+.-]{1,15}:\/\/[^\s?#"'`<>]*)/;

/** Where a path begins: `file:///`, `C:\`, `\\`, `/`. */
const ROOT = /(?:file:\/{0,3})?(?:[A-Za-z]:)?[\\/]+/;

/** Between quotes, folders may have any characters in their names. */
const QUOTED = RegExp(String.raw`(?<=(["'\`]))${ROOT.source}(?:(?!\2)[^\n])*[\\/](?!\2)`);

/** After a drive or two backslashes, folders may have blanks in their names: `C:\Program Files\ComfyUI\`. */
const WINDOWS = /(?<![\w.])(?:[A-Za-z]:\\+|\\\\)(?:[^\\/:*?"'`<>|\n]+\\+)+/;

/**
 * Elsewhere, a name with blanks has only words: after `/srv/a.png is no image/png` the path has ended. A path does not
 * begin after a word, a dot or a slash, where it would be a part of a relative path.
 */
const WORD = String.raw`(?:[\w-]+|\([\w-]*\))`;
const NAME = String.raw`(?:(?:[^\s/\\'"\`()<>]|\([^\s/\\'"\`()<>]*\))+|${WORD}(?: ${WORD}){1,3})`;
const PLAIN = RegExp(String.raw`(?<![\w./\\…])${ROOT.source}(?:${NAME}[\\/]+)+`);

const PATH_OR_URL = RegExp(
  [URL_BEFORE_QUERY, QUOTED, WINDOWS, PLAIN].map(({ source }) => source).join('|'),
  'gi',
);

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
