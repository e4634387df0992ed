/**
 * JSON that must arrive as it was sent.
 *
 * `JSON.parse` followed by `JSON.stringify` moves integer-like keys to the front (node ids are such keys), rounds
 * integers beyond 2^53 (seeds go to 2^64-1) and turns `1.0` into `1`. A workflow must suffer none of that, and the order
 * of nodes in ComfyUI's answers means something. So text is kept, and {@link JsonText} is a window on it: children are
 * narrower windows on the same text, in document order, and a value is made only when somebody asks for it.
 *
 * Python's `NaN`, `Infinity` and `-Infinity`, which ComfyUI writes, are read; {@link JsonText.value} gives `null` for them.
 */

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

export class JsonText {
  readonly #source: string;
  readonly #start: number;
  readonly #end: number;

  private constructor(source: string, start: number, end: number) {
    this.#source = source;
    this.#start = start;
    this.#end = end;
  }

  /**
   * Reads a whole JSON document.
   * @throws SyntaxError if the text is not JSON.
   */
  static parse(source: string): JsonText {
    parseAnyNumber(source);
    const start = skipBlanks(source, 0);
    return new JsonText(source, start, endOfValue(source, start));
  }

  /** As {@link parse}, but undefined for what is not JSON. */
  static maybeParse(source: string): JsonText | undefined {
    try {
      return JsonText.parse(source);
    } catch {
      return undefined;
    }
  }

  /** The text of any value JSON can hold. */
  static of(value: unknown): JsonText {
    return JsonText.parse(JSON.stringify(value));
  }

  /** Exactly the characters of this value, as they were sent. */
  get text(): string {
    return this.#source.slice(this.#start, this.#end);
  }

  get length(): number {
    return this.#end - this.#start;
  }

  get kind(): JsonKind {
    switch (this.#source[this.#start]) {
      case '{':
        return 'object';
      case '[':
        return 'array';
      case '"':
        return 'string';
      case 't':
      case 'f':
        return 'boolean';
      case 'n':
        return 'null';
      default:
        return 'number';
    }
  }

  /** The value as JavaScript sees it: numbers rounded, integer-like keys first. For looking, not for sending on. */
  value(): unknown {
    return this.#valueTo(TAKEN_APART);
  }

  /**
   * What holds a long string, part by part, some levels deep: a parser copies strings character by character, and here megabytes
   * of base64 are taken as they stand.
   */
  #valueTo(levels: number): unknown {
    if (this.kind === 'number') return toNumber(this.text);
    if (levels === 0 || !this.#holdsLongString()) return parseAnyNumber(this.text);
    const part = (member: JsonText) => member.#valueTo(levels - 1);
    if (this.kind === 'array') return this.items().map(part);
    if (this.kind === 'object')
      return Object.fromEntries(this.entries().map(([name, member]) => [name, part(member)]));
    const isPlain = this.kind === 'string' && !this.text.includes('\\');
    return isPlain ? this.text.slice(1, -1) : parseAnyNumber(this.text);
  }

  #holdsLongString(): boolean {
    if (this.length < LONG) return false;
    let at = this.#source.indexOf('"', this.#start);
    while (at >= 0 && at < this.#end) {
      const end = endOfString(this.#source, at);
      if (end - at >= LONG) return true;
      at = this.#source.indexOf('"', end);
    }
    return false;
  }

  /** A copy that no longer keeps the document it came from in memory. */
  detached(): JsonText {
    const copy = Buffer.from(this.text).toString();
    return new JsonText(copy, 0, copy.length);
  }

  /** The value under `key`, or undefined when there is none or this is no object. The last of equal keys wins. */
  get(key: string): JsonText | undefined {
    let found: JsonText | undefined;
    this.#eachMember((name, member) => {
      if (name === key) found = member;
    });
    return found;
  }

  /** Members of an object in document order; of equal keys the last value, at the first one's place. */
  entries(): [string, JsonText][] {
    const members = new Map<string, JsonText>();
    this.#eachMember((name, member) => members.set(name, member));
    return [...members];
  }

  /** Items of an array; none when this is no array. */
  items(): JsonText[] {
    if (this.kind !== 'array') return [];
    const items: JsonText[] = [];
    let at = skipBlanks(this.#source, this.#start + 1);
    while (this.#source[at] !== ']') {
      const end = endOfValue(this.#source, at);
      items.push(new JsonText(this.#source, at, end));
      at = skipComma(this.#source, end);
    }
    return items;
  }

  /** This value with `part`, a window somewhere within it, written anew; every other character stays. */
  replacing(part: JsonText, text: string): JsonText {
    return this.replacingAll([[part, text]]);
  }

  /** The same for several parts, in any order. They must not overlap. */
  replacingAll(edits: Iterable<readonly [part: JsonText, text: string]>): JsonText {
    const written: string[] = [];
    let at = this.#start;
    for (const [part, text] of [...edits].sort(([a], [b]) => a.#start - b.#start)) {
      const isAhead = part.#start >= at && part.#end <= this.#end;
      if (part.#source !== this.#source || !isAhead) {
        throw new TypeError('Only parts of the same text that do not overlap can be replaced');
      }
      written.push(this.#source.slice(at, part.#start), text);
      at = part.#end;
    }
    return JsonText.parse(written.join('') + this.#source.slice(at, this.#end));
  }

  #eachMember(visit: (name: string, member: JsonText) => void): void {
    if (this.kind !== 'object') return;
    let at = skipBlanks(this.#source, this.#start + 1);
    while (this.#source[at] !== '}') {
      const nameEnd = endOfString(this.#source, at);
      const start = skipBlanks(this.#source, skipBlanks(this.#source, nameEnd) + 1);
      const end = endOfValue(this.#source, start);
      const name = JSON.parse(this.#source.slice(at, nameEnd)) as string;
      visit(name, new JsonText(this.#source, start, end));
      at = skipComma(this.#source, end);
    }
  }
}

/** `JSON.parse` that also reads what Python writes for numbers JSON cannot hold. */
function parseAnyNumber(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    const strict = withoutNonFinite(source);
    if (strict === source) throw error;
    return JSON.parse(strict);
  }
}

/** JSON has no NaN and no Infinity. */
function toNumber(text: string): number | null {
  return /^-?[NI]/.test(text) ? null : Number(text);
}

/** Replaces bare NaN and Infinity by null, walking from string to string so that text inside quotes stays. */
function withoutNonFinite(source: string): string {
  const parts: string[] = [];
  let at = 0;
  while (at < source.length) {
    const quote = source.indexOf('"', at);
    const end = quote < 0 ? source.length : quote;
    parts.push(source.slice(at, end).replace(/-?\b(?:NaN|Infinity)\b/g, 'null'));
    if (quote < 0) break;
    at = endOfString(source, quote);
    parts.push(source.slice(quote, at));
  }
  return parts.join('');
}

function endOfValue(source: string, start: number): number {
  const first = source[start];
  if (first === '"') return endOfString(source, start);
  if (first === '{' || first === '[') return endOfContainer(source, start);
  let at = start;
  while (at < source.length && !DELIMITERS.has(source.charCodeAt(at))) at++;
  return at;
}

/** Jumps from quote to quote: a 10 MB base64 string costs one search, not ten million steps. */
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

function endOfContainer(source: string, start: number): number {
  let depth = 0;
  let at = start;
  while (at < source.length) {
    const code = source.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(source, at);
      continue;
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    at++;
    if (depth === 0) return at;
  }
  throw new SyntaxError('Unterminated object or array in JSON');
}

function skipBlanks(source: string, start: number): number {
  let at = start;
  while (BLANKS.has(source.charCodeAt(at))) at++;
  return at;
}

function skipComma(source: string, start: number): number {
  const at = skipBlanks(source, start);
  return source.charCodeAt(at) === COMMA ? skipBlanks(source, at + 1) : at;
}

/** Characters that make a string long, and how many levels down one is looked for: enough for a file in a list of a job. */
const LONG = 100_000;
const TAKEN_APART = 5;

const codes = (characters: string) =>
  Array.from(characters, (character) => character.charCodeAt(0));
const [QUOTE, BACKSLASH, COMMA, OPEN_BRACE, OPEN_BRACKET, CLOSE_BRACE, CLOSE_BRACKET] = codes(
  '"\\,{[}]',
) as [number, number, number, number, number, number, number];
const BLANKS = new Set(codes(' \t\n\r'));
const DELIMITERS = new Set(codes(' \t\n\r,]}'));
