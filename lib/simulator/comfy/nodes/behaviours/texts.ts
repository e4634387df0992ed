/** Nodes that work on texts. */

import { readJson, writeJson, type PyValue } from '../../python/python-json.ts';
import { fromPlain, pyFloat, pyInt, pyRepr, pyStr, PythonError } from '../../python/python-text.ts';
import { textOf, type Behaviours, type Given } from './given.ts';

export const TEXT_BEHAVIOURS: Behaviours = {
  StringConcatenate: (given) => [
    given.text('string_a') + given.text('delimiter') + given.text('string_b'),
  ],
  StringSubstring: (given) => [
    Array.from(given.text('string')).slice(given.number('start'), given.number('end')).join(''),
  ],
  StringLength: (given) => [Array.from(given.text('string')).length],
  CaseConverter: (given) => [changeCase(given.text('string'), given.text('mode'))],
  StringTrim: (given) => [trim(given.text('string'), given.text('mode'))],
  StringReplace: (given) => [
    given.text('string').replaceAll(given.text('find'), () => given.text('replace')),
  ],
  StringContains: (given) => [folded(given, 'string').includes(folded(given, 'substring'))],
  StringCompare: (given) => [compare(given)],
  StringFormat: (given) => [format(given.text('f_string'), given.group('values').values)],
  RegexMatch: (given) => [maybeRegex(given)?.test(given.text('string')) ?? false],
  RegexExtract: (given) => [extract(given)],
  RegexReplace: (given) => {
    const pattern = maybeRegex(given, 'g');
    if (!pattern) throw new PythonError('re.error', `bad pattern ${given.text('regex_pattern')}`);
    const replacement = given
      .text('replace')
      .replaceAll('$', '$$$$')
      .replace(/\\(\d+)|\\g<(\w+)>/g, (_, digits?: string, name?: string) =>
        /^\d+$/.test(digits ?? name ?? '') ? `$${digits ?? name}` : `$<${name}>`,
      );
    return [given.text('string').replace(pattern, replacement)];
  },
  JsonExtractString: (given) => [jsonMember(given.text('json_string'), given.text('key'))],
  ConvertDictionaryToString: (given) => [
    indentedJson(given.value('dictionary'), given.number('indent')),
  ],
  ConvertArrayToString: (given) => [indentedJson(given.value('array'), given.number('indent'))],
  TextToLowercase: (given) => [given.text('texts').toLowerCase()],
  TextToUppercase: (given) => [given.text('texts').toUpperCase()],
  TruncateText: (given) => [
    Array.from(given.text('texts')).slice(0, given.number('max_length')).join(''),
  ],
  AddTextPrefix: (given) => [given.text('prefix') + given.text('texts')],
  AddTextSuffix: (given) => [given.text('texts') + given.text('suffix')],
  ReplaceText: (given) => [
    given.text('texts').replaceAll(given.text('find'), () => given.text('replace')),
  ],
  StripWhitespace: (given) => [given.text('texts').trim()],
};

function changeCase(text: string, mode: string): string {
  switch (mode) {
    case 'UPPERCASE':
      return text.toUpperCase();
    case 'lowercase':
      return text.toLowerCase();
    case 'Capitalize':
      return text.charAt(0).toUpperCase() + text.slice(1).toLowerCase();
    case 'Title Case':
      return text
        .toLowerCase()
        .replace(/\p{L}+/gu, (word) => word.charAt(0).toUpperCase() + word.slice(1));
    default:
      return text;
  }
}

function trim(text: string, mode: string): string {
  if (mode === 'Left') return text.trimStart();
  return mode === 'Right' ? text.trimEnd() : text.trim();
}

const folded = (given: Given, name: string) =>
  given.flag('case_sensitive') ? given.text(name) : given.text(name).toLowerCase();

function compare(given: Given): boolean {
  const [a, b] = [folded(given, 'string_a'), folded(given, 'string_b')];
  const mode = given.text('mode');
  if (mode === 'Starts With') return a.startsWith(b);
  return mode === 'Ends With' ? a.endsWith(b) : a === b;
}

/** Python's pattern as a JavaScript one: named groups are written differently. Undefined when it is not valid. */
function maybeRegex(given: Given, flags = ''): RegExp | undefined {
  const flag = (name: string) => given.has(name) && given.flag(name);
  const all = `${flags}${flag('case_insensitive') ? 'i' : ''}${flag('multiline') ? 'm' : ''}${flag('dotall') ? 's' : ''}`;
  const pattern = given
    .text('regex_pattern')
    .replaceAll('(?P<', '(?<')
    .replace(/\(\?P=(\w+)\)/g, '\\k<$1>');
  try {
    return new RegExp(pattern, all);
  } catch {
    return undefined;
  }
}

function extract(given: Given): string {
  const pattern = maybeRegex(given, 'g');
  if (!pattern) return '';
  const matches = [...given.text('string').matchAll(pattern)];
  const group = given.number('group_index');
  const [first] = matches;
  switch (given.text('mode')) {
    case 'First Match':
      return first?.[0] ?? '';
    case 'First Group':
      return first?.[group] ?? '';
    case 'All Matches':
      return matches.map((match) => match[1] ?? match[0]).join('\n');
    default:
      return matches
        .flatMap((match) => (match.length > group ? [match[group] ?? ''] : []))
        .join('\n');
  }
}

function jsonMember(json: string, key: string): string {
  try {
    const value = readJson(json);
    const member = value instanceof Map ? value.get(key) : null;
    return member === undefined || member === null ? '' : pyStr(member);
  } catch {
    return '';
  }
}

/** Non-ASCII characters are not escaped. */
function indentedJson(value: unknown, indent: number): string {
  const json = writeJson(value);
  return indent > 0 ? JSON.stringify(JSON.parse(json), null, indent) : json;
}

/** Python's `str.format` with named fields: `{a}`, `{a:.2f}`, `{a!r}`, `{{`. */
function format(template: string, values: Readonly<Record<string, unknown>>): string {
  return template.replace(
    /\{\{|\}\}|\{(\w*)(?:!([rsa]))?(?::([^{}]*))?\}/g,
    (whole, name?: string, conversion?: string, spec?: string) => {
      if (name === undefined) return whole.charAt(0);
      if (!Object.hasOwn(values, name)) throw new PythonError('KeyError', pyRepr(name));
      const value = fromPlain(values[name]);
      return formatField(conversion === 'r' ? pyRepr(value) : value, spec ?? '');
    },
  );
}

/** A part of Python's format specification: `[[fill]align][sign][0][width][,][.precision][type]`. */
function formatField(value: PyValue, spec: string): string {
  if (spec === '') return pyStr(value);
  const parts = /^(?:(.)?([<>^]))?([+ ])?(0)?(\d+)?(,)?(?:\.(\d+))?([bdeEfFgGosxX%])?$/u.exec(spec);
  if (!parts) throw new PythonError('ValueError', `Invalid format specifier '${spec}'`);
  const [, fill, align, sign = '', zero, width = '0', comma, precision, type] = parts;
  const isNumber = typeof value !== 'string';
  const plain = digits(value, type, precision === undefined ? undefined : Number(precision));
  const grouped = comma ? plain.replace(/\B(?=(?:\d{3})+(?!\d))(?<!\.\d*)/g, ',') : plain;
  const signed = sign && isNumber && !grouped.startsWith('-') ? sign + grouped : grouped;
  const missing = Number(width) - Array.from(signed).length;
  if (missing <= 0) return signed;
  const filler = (fill ?? (zero ? '0' : ' ')).repeat(missing);
  switch (align ?? (isNumber || zero ? '>' : '<')) {
    case '<':
      return signed + filler;
    case '^':
      return filler.slice(0, missing >> 1) + signed + filler.slice(missing >> 1);
    default:
      return zero && /^[+-]/.test(signed)
        ? signed.charAt(0) + filler + signed.slice(1)
        : filler + signed;
  }
}

function digits(value: PyValue, type: string | undefined, precision: number | undefined): string {
  switch (type) {
    case 'f':
    case 'F':
      return pyFloat(value).value.toFixed(precision ?? 6);
    case 'e':
    case 'E':
      return pyFloat(value)
        .value.toExponential(precision ?? 6)
        .replace(/e([+-])(\d)$/, 'e$10$2');
    case '%':
      return `${(pyFloat(value).value * 100).toFixed(precision ?? 6)}%`;
    case 'd':
      return String(pyInt(value));
    case 'x':
    case 'X':
    case 'o':
    case 'b': {
      const text = pyInt(value).toString({ x: 16, X: 16, o: 8, b: 2 }[type]);
      return type === 'X' ? text.toUpperCase() : text;
    }
    default: {
      const text = textOf(value);
      if (precision === undefined) return text;
      return typeof value === 'string'
        ? text.slice(0, precision)
        : String(Number(pyFloat(value).value.toPrecision(precision)));
    }
  }
}
