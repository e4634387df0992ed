/*
 * Where values end in a JSON text that is known to be valid. Nothing is parsed here.
 * The page loads this file with `json.ts`.
 */

/** The index after the value that starts at `start`. */
export function endOfValue(source: string, start: number): number {
  const first = source.charCodeAt(start);
  if (first === QUOTE) return endOfString(source, start);
  let at = start;
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    while (at < source.length && !DELIMITERS.has(source.charCodeAt(at))) at++;
    return at;
  }
  for (let depth = 0; at < source.length;) {
    const code = source.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(source, at);
      continue;
    }
    at++;
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return at;
  }
  throw new SyntaxError('Unterminated object or array in JSON');
}

/** The index after the string that starts at `start`. Searches for quotes: 10 MB of base64 are one native search. */
export function endOfString(source: string, start: number): number {
  let at = start + 1;
  for (;;) {
    const quote = source.indexOf('"', at);
    if (quote < 0) throw new SyntaxError('Unterminated string in JSON');
    let backslashes = 0;
    while (source.charCodeAt(quote - 1 - backslashes) === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    at = quote + 1;
  }
}

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const DELIMITERS = new Set([0x09, 0x0a, 0x0d, SPACE, COMMA, CLOSE_BRACKET, CLOSE_BRACE]);
