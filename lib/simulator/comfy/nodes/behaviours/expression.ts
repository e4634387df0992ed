/**
 * Arithmetic of the Math Expression node: a small part of Python's expressions, evaluated without `eval`. Numbers,
 * variables, `values` (all variables as a list), operators, comparisons, `and`/`or`/`not`, `a if b else c`, and the
 * functions in {@link FUNCTIONS}.
 */

import { PythonError } from '../../python/python-text.ts';

/** @throws PythonError for what is not an expression, an unknown name, or a division by zero. True counts as 1. */
export function evaluate(text: string, variables: Readonly<Record<string, unknown>>): number {
  const parser = new Parser(text, variables);
  const result = parser.parse();
  if (typeof result === 'number') return result;
  const what = Array.isArray(result) ? 'list' : typeof result;
  throw new PythonError(
    'ValueError',
    `Math Expression '${text}' must evaluate to a numeric result, got ${what}`,
  );
}

type Value = number | readonly number[];

const MAX_EXPONENT = 4000;

const FUNCTIONS: Readonly<Record<string, (...numbers: number[]) => number>> = {
  sum: (...numbers) => numbers.reduce((total, number) => total + number, 0),
  min: Math.min,
  max: Math.max,
  abs: Math.abs,
  round: (number = 0, digits = 0) => roundHalfEven(number * 10 ** digits) / 10 ** digits,
  pow: (base = 0, exponent = 0) => power(base, exponent),
  sqrt: Math.sqrt,
  ceil: Math.ceil,
  floor: Math.floor,
  log: (number = 0, base = Math.E) => Math.log(number) / Math.log(base),
  log2: Math.log2,
  log10: Math.log10,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  int: Math.trunc,
  float: Number,
};

/** Binary operators from weakest to strongest; those of one row have equal strength. */
const OPERATORS: readonly Readonly<Record<string, (a: number, b: number) => number>>[] = [
  { '|': (a, b) => a | b },
  { '^': (a, b) => a ^ b },
  { '&': (a, b) => a & b },
  { '<<': (a, b) => a << b, '>>': (a, b) => a >> b },
  { '+': (a, b) => a + b, '-': (a, b) => a - b },
  {
    '*': (a, b) => a * b,
    '/': (a, b) => a / nonZero(b),
    '//': (a, b) => Math.floor(a / nonZero(b)),
    '%': (a, b) => a - Math.floor(a / nonZero(b)) * b,
  },
];

const COMPARISONS: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  '==': (a, b) => a === b,
  '!=': (a, b) => a !== b,
  '<=': (a, b) => a <= b,
  '>=': (a, b) => a >= b,
  '<': (a, b) => a < b,
  '>': (a, b) => a > b,
};

function nonZero(divisor: number): number {
  if (divisor === 0) throw new PythonError('ZeroDivisionError', 'division by zero');
  return divisor;
}

function power(base: number, exponent: number): number {
  if (Math.abs(exponent) <= MAX_EXPONENT) return base ** exponent;
  const text = `Exponent ${exponent} exceeds maximum allowed (${MAX_EXPONENT})`;
  throw new PythonError('ValueError', text);
}

/** Python rounds halves to the even neighbour. */
function roundHalfEven(number: number): number {
  const below = Math.floor(number);
  if (number - below !== 0.5) return Math.round(number);
  return below % 2 === 0 ? below : below + 1;
}

const TOKEN =
  /\s*(\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|[A-Za-z_]\w*|\*\*|\/\/|<<|>>|[=!<>]=|[-+*/%(),<>&|^~[\]])/y;

class Parser {
  readonly #text: string;
  readonly #tokens: string[];
  readonly #variables: Readonly<Record<string, unknown>>;
  #at = 0;

  constructor(text: string, variables: Readonly<Record<string, unknown>>) {
    this.#text = text;
    this.#tokens = tokensOf(text);
    this.#variables = variables;
  }

  parse(): Value {
    const result = this.#choice();
    if (this.#at < this.#tokens.length) throw invalid(this.#text);
    return result;
  }

  #choice(): Value {
    const then = this.#or();
    if (!this.#take('if')) return then;
    const condition = this.#or();
    this.#expect('else');
    const otherwise = this.#choice();
    return truth(condition) ? then : otherwise;
  }

  #or(): Value {
    let left = this.#and();
    while (this.#take('or')) {
      const right = this.#and();
      left = truth(left) ? left : right;
    }
    return left;
  }

  #and(): Value {
    let left = this.#not();
    while (this.#take('and')) {
      const right = this.#not();
      left = truth(left) ? right : left;
    }
    return left;
  }

  #not(): Value {
    return this.#take('not') ? Number(!truth(this.#not())) : this.#comparison();
  }

  /** Comparisons can be chained: `0 < a < 10`. */
  #comparison(): Value {
    let left = this.#binary(0);
    let holds: boolean | undefined;
    for (;;) {
      const compare = COMPARISONS[this.#tokens[this.#at] ?? ''];
      if (!compare) return holds === undefined ? left : Number(holds);
      this.#at++;
      const right = this.#binary(0);
      holds = (holds ?? true) && compare(single(left), single(right));
      left = right;
    }
  }

  #binary(strength: number): Value {
    const operators = OPERATORS[strength];
    if (!operators) return this.#unary();
    let left = this.#binary(strength + 1);
    for (;;) {
      const token = this.#tokens[this.#at] ?? '';
      const apply = Object.hasOwn(operators, token) ? operators[token] : undefined;
      if (!apply) return left;
      this.#at++;
      left = apply(single(left), single(this.#binary(strength + 1)));
    }
  }

  #unary(): Value {
    if (this.#take('-')) return -single(this.#unary());
    if (this.#take('+')) return single(this.#unary());
    if (this.#take('~')) return ~single(this.#unary());
    const base = this.#item();
    return this.#take('**') ? power(single(base), single(this.#unary())) : base;
  }

  /** A value, with an index behind it: `values[0]`. */
  #item(): Value {
    const value = this.#value();
    if (!this.#take('[')) return value;
    const index = single(this.#choice());
    this.#expect(']');
    const item = Array.isArray(value) ? (value as number[]).at(index) : undefined;
    if (item === undefined) throw new PythonError('IndexError', 'list index out of range');
    return item;
  }

  #value(): Value {
    const token = this.#tokens[this.#at++] ?? '';
    if (token === '(') {
      const inner = this.#choice();
      this.#expect(')');
      return inner;
    }
    if (/^[\d.]/.test(token)) return Number(token);
    if (!/^[A-Za-z_]/.test(token)) throw invalid(this.#text);
    return this.#take('(') ? this.#call(token) : this.#variable(token);
  }

  #call(name: string): number {
    const call = Object.hasOwn(FUNCTIONS, name) ? FUNCTIONS[name] : undefined;
    if (!call) throw new PythonError('FunctionNotDefined', `Function '${name}' not defined`);
    const numbers: number[] = [];
    while (!this.#take(')')) {
      const argument = this.#choice();
      if (Array.isArray(argument)) numbers.push(...(argument as number[]));
      else numbers.push(argument as number);
      if (this.#tokens[this.#at] !== ')') this.#expect(',');
    }
    return call(...numbers);
  }

  #variable(name: string): Value {
    if (name === 'True' || name === 'False') return Number(name === 'True');
    if (name === 'values') return Object.values(this.#variables).map(Number);
    if (Object.hasOwn(this.#variables, name)) return Number(this.#variables[name]);
    const text = `'${name}' is not defined for expression '${this.#text}'`;
    throw new PythonError('NameNotDefined', text);
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #expect(token: string): void {
    if (!this.#take(token)) throw invalid(this.#text);
  }
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  const trimmed = text.trimEnd();
  for (let at = 0; at < trimmed.length;) {
    TOKEN.lastIndex = at;
    const [whole, token = ''] = TOKEN.exec(trimmed) ?? [];
    if (whole === undefined) throw invalid(text);
    tokens.push(token);
    at += whole.length;
  }
  return tokens;
}

const invalid = (text: string) => new PythonError('SyntaxError', `invalid syntax: ${text}`);

const truth = (value: Value) => (typeof value === 'number' ? value !== 0 : value.length > 0);

function single(value: Value): number {
  if (typeof value === 'number') return value;
  throw new PythonError('TypeError', 'unsupported operand type: a list');
}
