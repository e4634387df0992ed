/**
 * JSON that keeps the characters it was sent with.
 *
 * `JSON.parse` followed by `JSON.stringify` changes a workflow: integer-like keys (node ids) move to the front, integers
 * beyond 2^53 (seeds go up to 2^64-1) are rounded, and `1.0` becomes `1`. The order of nodes in ComfyUI's answers matters,
 * too. Therefore the text is kept. A {@link JsonText} is a window on that text: its children are narrower windows on the
 * same text, in document order, and a JavaScript value is made only on request.
 *
 * ComfyUI writes Python's `NaN`, `Infinity` and `-Infinity`. They are accepted; {@link JsonText.value} turns them into `null`.
 */

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

export class JsonText {
  /** The characters of this value, exactly as they were sent. */
  readonly text: string;
  readonly kind: JsonKind;
  /** The whole document, and where `text` starts in it. */
  readonly #source: string;
  readonly #start: number;

  private constructor(source: string, start: number, end: number) {
    this.text = source.slice(start, end); // V8 makes a view, not a copy
    this.kind = KINDS[source[start] ?? ''] ?? 'number';
    this.#source = source;
    this.#start = start;
  }

  /**
   * Reads a whole JSON document.
   * @throws SyntaxError if the text is not JSON.
   */
  static parse(source: string): JsonText {
    parseLenient(source);
    const start = source.search(/[^ \t\n\r]/);
    return new JsonText(source, start, endOfValue(source, start));
  }

  /** Like {@link parse}, but returns undefined if the text is not JSON. */
  static maybeParse(source: string): JsonText | undefined {
    try {
      return JsonText.parse(source);
    } catch {
      return undefined;
    }
  }

  /** The JSON text of a JavaScript value. */
  static of(value: unknown): JsonText {
    return JsonText.parse(JSON.stringify(value));
  }

  /**
   * The JavaScript value: numbers may be rounded and integer-like keys come first. Use it to look at a value, not to send it on.
   *
   * A JSON parser copies strings character by character, which is slow for megabytes of base64. So containers of long strings
   * are read member by member, and the strings are sliced from the text.
   * @param levels levels of nesting to read member by member; deeper ones are left to the parser.
   */
  value(levels = 5): unknown {
    const { text, kind } = this;
    if (levels === 0 || !hasLongString(text)) return parseLenient(text);
    if (kind === 'array') return this.items().map((item) => item.value(levels - 1));
    if (kind === 'object') {
      const members = this.entries().map(([name, member]) => [name, member.value(levels - 1)]);
      return Object.fromEntries(members);
    }
    return text.includes('\\') ? parseLenient(text) : text.slice(1, -1);
  }

  /** The content of a string; undefined for every other kind. */
  asString(): string | undefined {
    return this.kind === 'string' ? (this.value() as string) : undefined;
  }

  /** The value under `key`; undefined if there is none or this is not an object. The last of equal keys wins. */
  get(key: string): JsonText | undefined {
    if (this.kind !== 'object') return undefined;
    let found: JsonText | undefined;
    this.#eachChild((start, end, name) => {
      if (name === key) found = new JsonText(this.#source, start, end);
    });
    return found;
  }

  /** Members of an object in document order. Of equal keys the last value is kept, at the place of the first. */
  entries(): [name: string, member: JsonText][] {
    if (this.kind !== 'object') return [];
    const members = new Map<string, JsonText>();
    this.#eachChild((start, end, name) =>
      members.set(name, new JsonText(this.#source, start, end)),
    );
    return [...members];
  }

  /** Items of an array; empty if this is not an array. */
  items(): JsonText[] {
    if (this.kind !== 'array') return [];
    const items: JsonText[] = [];
    this.#eachChild((start, end) => items.push(new JsonText(this.#source, start, end)));
    return items;
  }

  /** A copy of this document in which `part`, a value somewhere within it, has another text. */
  replacing(part: JsonText, text: string): JsonText {
    return this.replacingAll([[part, text]]);
  }

  /**
   * The same for several parts, in any order.
   * @throws TypeError if a part is not from this document, or two parts overlap.
   */
  replacingAll(edits: Iterable<readonly [part: JsonText, text: string]>): JsonText {
    const pieces: string[] = [];
    const documentEnd = this.#start + this.text.length;
    let at = this.#start;
    for (const [part, text] of [...edits].sort(([a], [b]) => a.#start - b.#start)) {
      const partEnd = part.#start + part.text.length;
      if (part.#source !== this.#source || part.#start < at || partEnd > documentEnd) {
        throw new TypeError('Only parts of the same text that do not overlap can be replaced');
      }
      pieces.push(this.#source.slice(at, part.#start), text);
      at = partEnd;
    }
    return JsonText.parse(pieces.join('') + this.#source.slice(at, documentEnd));
  }

  /** A copy that does not keep the rest of the document in memory. */
  detached(): JsonText {
    const copy = Buffer.from(this.text).toString();
    return new JsonText(copy, 0, copy.length);
  }

  /** Calls `visit` with the bounds of each item or member. Items have no name. The document is known to be valid JSON. */
  #eachChild(visit: (start: number, end: number, name: string) => void): void {
    const source = this.#source;
    const last = this.#start + this.text.length - 1; // the closing bracket
    const hasNames = this.kind === 'object';
    let name: string | undefined;
    for (let at = this.#start + 1; ;) {
      const code = source.charCodeAt(at);
      if (code <= SPACE || code === COMMA || code === COLON) {
        at++;
        continue;
      }
      if (at >= last) return;
      const end = endOfValue(source, at);
      if (hasNames && name === undefined) {
        name = JSON.parse(source.slice(at, end)) as string;
      } else {
        visit(at, end, name ?? '');
        name = undefined;
      }
      at = end;
    }
  }
}

/** A JSON object, written from members whose values are JSON text already. Order is kept. */
export function objectText(members: Iterable<readonly [name: string, json: string]>): string {
  return `{${Array.from(members, ([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}`;
}

/** Like `JSON.parse`, but reads bare NaN and Infinity as null. */
function parseLenient(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    const strict = withoutNonFinite(source);
    if (strict === source) throw error;
    return JSON.parse(strict);
  }
}

/** Replaces bare NaN and Infinity with null. Strings stay as they are. */
function withoutNonFinite(source: string): string {
  const pieces: string[] = [];
  let at = 0;
  while (at < source.length) {
    const quote = source.indexOf('"', at);
    const end = quote < 0 ? source.length : quote;
    pieces.push(source.slice(at, end).replace(/-?\b(?:NaN|Infinity)\b/g, 'null'));
    if (quote < 0) break;
    at = endOfString(source, quote);
    pieces.push(source.slice(quote, at));
  }
  return pieces.join('');
}

function hasLongString(text: string): boolean {
  if (text.length < LONG_STRING) return false;
  for (let quote = text.indexOf('"'); quote >= 0;) {
    const end = endOfString(text, quote);
    if (end - quote >= LONG_STRING) return true;
    quote = text.indexOf('"', end);
  }
  return false;
}

/** The index after the value that starts at `start`. */
function endOfValue(source: string, start: number): number {
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
function endOfString(source: string, start: number): number {
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

const KINDS: Readonly<Record<string, JsonKind>> = {
  '{': 'object',
  '[': 'array',
  '"': 'string',
  t: 'boolean',
  f: 'boolean',
  n: 'null',
};

/** Length in characters from which a string is sliced rather than parsed. */
const LONG_STRING = 100_000;

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const DELIMITERS = new Set([0x09, 0x0a, 0x0d, SPACE, COMMA, CLOSE_BRACKET, CLOSE_BRACE]);
