/**
 * JSON as windows on its text. A workflow must reach ComfyUI as it was exported: `JSON.parse` and back would round seeds
 * beyond 2^53, turn `1.0` into `1` and move node ids around. So the text stays, and edits are splices into it.
 *
 * @typedef {'object' | 'array' | 'string' | 'number' | 'boolean' | 'null'} JsonKind
 */

export class JsonText {
  /** @type {ReadonlyMap<string, JsonText>} Members in the order of the text; of equal names the last one counts. */
  #members = new Map();
  /** @type {readonly JsonText[]} */
  #items = [];

  /**
   * @param {string} source
   * @param {number} start
   * @param {number} end
   */
  constructor(source, start, end) {
    this.source = source;
    this.start = start;
    this.end = end;
    if (this.kind === 'object') this.#members = new Map(members(source, start));
    if (this.kind === 'array') this.#items = [...items(source, start)];
  }

  /**
   * @param {string} source
   * @throws {SyntaxError} that says where the text is not JSON.
   */
  static parse(source) {
    checkSyntax(source);
    const start = skipBlanks(source, 0);
    return new JsonText(source, start, endOfValue(source, start));
  }

  /** The characters of this value, as they were written. */
  get text() {
    return this.source.slice(this.start, this.end);
  }

  /** @returns {JsonKind} */
  get kind() {
    return KINDS.get(this.source.charAt(this.start)) ?? 'number';
  }

  /** The text a string stands for; of anything else its JSON. */
  get plain() {
    return this.kind === 'string' ? String(JSON.parse(this.text)) : this.text;
  }

  /** @param {string} name */
  get(name) {
    return this.#members.get(name);
  }

  entries() {
    return [...this.#members];
  }

  items() {
    return this.#items;
  }
}

/** @type {ReadonlyMap<string, JsonKind>} */
const KINDS = new Map([
  ['{', 'object'],
  ['[', 'array'],
  ['"', 'string'],
  ['t', 'boolean'],
  ['f', 'boolean'],
  ['n', 'null'],
]);

/** Python writes NaN and Infinity, and so does ComfyUI into its PNGs; they are let through. @param {string} source */
function checkSyntax(source) {
  try {
    JSON.parse(source);
  } catch (error) {
    const strict = source.replace(STRING_OR_NON_FINITE, (found) =>
      found.startsWith('"') ? found : 'null',
    );
    if (strict === source) throw error;
    JSON.parse(strict);
  }
}

const STRING_OR_NON_FINITE = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g;

/**
 * @param {string} source
 * @param {number} start
 * @returns {Generator<[string, JsonText]>}
 */
function* members(source, start) {
  let at = skipBlanks(source, start + 1);
  while (source[at] !== '}') {
    const nameEnd = endOfString(source, at);
    const valueStart = skipBlanks(source, skipBlanks(source, nameEnd) + 1);
    const end = endOfValue(source, valueStart);
    yield [String(JSON.parse(source.slice(at, nameEnd))), new JsonText(source, valueStart, end)];
    at = skipComma(source, end);
  }
}

/**
 * @param {string} source
 * @param {number} start
 */
function* items(source, start) {
  let at = skipBlanks(source, start + 1);
  while (source[at] !== ']') {
    const end = endOfValue(source, at);
    yield new JsonText(source, at, end);
    at = skipComma(source, end);
  }
}

/**
 * @param {string} source
 * @param {number} start
 */
function endOfValue(source, start) {
  const first = source[start];
  if (first === '"') return endOfString(source, start);
  if (first === '{' || first === '[') return endOfContainer(source, start);
  SCALAR.lastIndex = start;
  SCALAR.test(source);
  return SCALAR.lastIndex;
}

/**
 * From quote to quote: an image of ten million characters costs one search.
 *
 * @param {string} source
 * @param {number} start
 */
function endOfString(source, start) {
  let quote = start;
  let backslashes;
  do {
    quote = source.indexOf('"', quote + 1);
    backslashes = 0;
    while (source[quote - 1 - backslashes] === '\\') backslashes++;
  } while (backslashes % 2 === 1);
  return quote + 1;
}

/**
 * @param {string} source
 * @param {number} start
 */
function endOfContainer(source, start) {
  let depth = 0;
  let at = start;
  do {
    const character = source.charAt(at);
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    at = character === '"' ? endOfString(source, at) : at + 1;
  } while (depth > 0);
  return at;
}

/**
 * @param {string} source
 * @param {number} start
 */
function skipBlanks(source, start) {
  BLANKS.lastIndex = start;
  BLANKS.test(source);
  return BLANKS.lastIndex;
}

/**
 * @param {string} source
 * @param {number} start
 */
function skipComma(source, start) {
  const at = skipBlanks(source, start);
  return source[at] === ',' ? skipBlanks(source, at + 1) : at;
}

const BLANKS = /[ \t\n\r]*/y;
const SCALAR = /[^ \t\n\r,\]}]*/y;
