import { endOfString, endOfValue } from './json-scan.ts';
import { LongString, toDocument, type Document } from './long-strings.ts';

/**
 * JSON that keeps the characters it was sent with.
 *
 * `JSON.parse` followed by `JSON.stringify` changes a workflow: integer-like keys (node ids) move to the front, integers
 * beyond 2^53 (seeds go up to 2^64-1) are rounded, and `1.0` becomes `1`. The order of nodes in ComfyUI's answers matters,
 * too. Therefore the text is kept. A {@link JsonText} is a window on that text: its children are narrower windows on the
 * same text, in document order, and a JavaScript value is made only on request.
 *
 * A job may carry megabytes of base64. When a document is read from bytes, its long strings stay bytes, see
 * {@link LongString}: in the text a short mark stands for each of them, so nothing below ever walks over the megabytes.
 *
 * ComfyUI writes Python's `NaN`, `Infinity` and `-Infinity`. They are accepted; {@link JsonText.value} turns them into `null`.
 */

export type JsonKind = 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';

export class JsonText {
  readonly kind: JsonKind;
  /** The whole document, and the place of this value in its source. */
  readonly #document: Document;
  readonly #start: number;
  readonly #end: number;

  private constructor(document: Document, start: number, end: number) {
    this.kind = KINDS[document.source[start] ?? ''] ?? 'number';
    this.#document = document;
    this.#start = start;
    this.#end = end;
  }

  /**
   * Reads a whole JSON document. Bytes are UTF-8; they belong to the result and must not change.
   * @throws SyntaxError if the text is not JSON.
   */
  static parse(source: string | Buffer): JsonText {
    return JsonText.#check(toDocument(source));
  }

  /** The document is not checked yet. */
  static #check(document: Document): JsonText {
    const { source } = document;
    parseLenient(source);
    const start = source.search(/[^ \t\n\r]/);
    return new JsonText(document, start, endOfValue(source, start));
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

  /** The characters of this value, exactly as they were sent. */
  get text(): string {
    const text = this.#marked; // V8 makes a view, not a copy
    const { mark, longStrings } = this.#document;
    if (!this.#hasLongStrings) return text;
    const sent = (_: string, index: string) => `"${longStrings[Number(index)]?.toString()}"`;
    return text.replace(new RegExp(`"${mark}(\\d+)"`, 'g'), sent);
  }

  /** The text, with marks in the place of long strings. */
  get #marked(): string {
    return this.#document.source.slice(this.#start, this.#end);
  }

  get #hasLongStrings(): boolean {
    const { mark, longStrings } = this.#document;
    return longStrings.length > 0 && this.#marked.includes(mark);
  }

  /**
   * The JavaScript value: numbers may be rounded and integer-like keys come first. Use it to look at a value, not to send it on.
   * @param asBytes names of members; if they are long strings, they are {@link LongString}s in the value.
   */
  value({ asBytes }: { readonly asBytes?: ReadonlySet<string> } = {}): unknown {
    const value = parseLenient(this.#marked);
    if (!this.#hasLongStrings) return value;
    const { mark, longStrings } = this.#document;
    const restore = (member: unknown, name?: string): unknown => {
      if (typeof member === 'string') {
        const long = member.startsWith(mark) && longStrings[Number(member.slice(mark.length))];
        if (!long) return member;
        return name !== undefined && asBytes?.has(name) ? long : long.toString();
      }
      if (Array.isArray(member)) return member.map((item) => restore(item));
      if (typeof member !== 'object' || member === null) return member;
      const members = Object.entries(member).map(([key, of]) => [key, restore(of, key)]);
      return Object.fromEntries(members);
    };
    return restore(value);
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
      if (name === key) found = this.#part(start, end);
    });
    return found;
  }

  /** Members of an object in document order. Of equal keys the last value is kept, at the place of the first. */
  entries(): [name: string, member: JsonText][] {
    if (this.kind !== 'object') return [];
    const members = new Map<string, JsonText>();
    this.#eachChild((start, end, name) => members.set(name, this.#part(start, end)));
    return [...members];
  }

  /** Whether objects and arrays are within each other more than `levels` deep. */
  isDeeperThan(levels: number): boolean {
    const { source } = this.#document;
    let depth = 0;
    for (let at = this.#start; at < this.#end; at++) {
      const code = source.charCodeAt(at);
      if (code === QUOTE) at = endOfString(source, at) - 1;
      else if (code === OPEN_BRACE || code === OPEN_BRACKET) {
        if (++depth > levels) return true;
      } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
    }
    return false;
  }

  /** Items of an array; empty if this is not an array. */
  items(): JsonText[] {
    if (this.kind !== 'array') return [];
    const items: JsonText[] = [];
    this.#eachChild((start, end) => items.push(this.#part(start, end)));
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
    const { source } = this.#document;
    const pieces: string[] = [];
    let at = this.#start;
    for (const [part, text] of [...edits].sort(([a], [b]) => a.#start - b.#start)) {
      if (part.#document !== this.#document || part.#start < at || part.#end > this.#end) {
        throw new TypeError('Only parts of the same text that do not overlap can be replaced');
      }
      pieces.push(source.slice(at, part.#start), text);
      at = part.#end;
    }
    const edited = pieces.join('') + source.slice(at, this.#end);
    return JsonText.#check({ ...this.#document, source: edited });
  }

  /** A copy that does not keep the rest of the document in memory. */
  detached(): JsonText {
    const source = Buffer.from(this.#marked).toString();
    const document = this.#hasLongStrings
      ? { ...this.#document, source, longStrings: this.#ownLongStrings() }
      : toDocument(source);
    return new JsonText(document, 0, source.length);
  }

  /** Copies of the long strings within this value, at their places. */
  #ownLongStrings(): LongString[] {
    const { mark, longStrings } = this.#document;
    const own = new Set(
      this.#marked
        .split(`"${mark}`)
        .slice(1)
        .map((rest) => Number.parseInt(rest)),
    );
    const none = new LongString(Buffer.alloc(0));
    return longStrings.map(({ bytes }, at) =>
      own.has(at) ? new LongString(Buffer.from(bytes)) : none,
    );
  }

  #part(start: number, end: number): JsonText {
    return new JsonText(this.#document, start, end);
  }

  /** Calls `visit` with the bounds of each item or member. Items have no name. The document is known to be valid JSON. */
  #eachChild(visit: (start: number, end: number, name: string) => void): void {
    const { source } = this.#document;
    const last = this.#end - 1; // the closing bracket
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

const KINDS: Readonly<Record<string, JsonKind>> = {
  '{': 'object',
  '[': 'array',
  '"': 'string',
  t: 'boolean',
  f: 'boolean',
  n: 'null',
};

const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
