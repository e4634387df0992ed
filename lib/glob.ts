import { z } from 'zod';

/**
 * Patterns that callers send: `*` and `**` match any characters, every other character matches itself. No regular expression
 * is made of a caller's text: with several wildcards it could run for years.
 */
export interface GlobOptions {
  /** A character that a single `*` does not match, but `**` does. */
  readonly barrier?: string;
  /** Called for each step of the work, so that a test can count them. */
  readonly onStep?: () => void;
}

/** With these limits the work is linear in the length of the text. */
export const MAX_PATTERN_LENGTH = 2048;
export const MAX_WILDCARDS = 64;

/** A pattern as callers send it. */
export const GlobSchema = z
  .string()
  .min(1)
  .max(MAX_PATTERN_LENGTH)
  .refine((pattern) => (pattern.match(/\*+/g) ?? []).length <= MAX_WILDCARDS, {
    error: `must not have more than ${MAX_WILDCARDS} wildcards`,
  });

/**
 * Whether all of `text` matches. The texts between the wildcards are looked for from left to right, each as early as possible.
 * No search ever goes back, so each reads the text at most once.
 */
export function matchesGlob(
  pattern: string,
  text: string,
  { barrier = '', onStep = () => undefined }: GlobOptions = {},
): boolean {
  const [start = '', ...rest] = pattern.split(/\*+/);
  if (!text.startsWith(start)) return false;
  if (rest.length === 0) return text === start;
  const wildcards = pattern.match(/\*+/g) ?? [];
  const barriers = barrier === '' ? undefined : lastBarriers(text, barrier);
  const searches = rest.map((literal) => new LiteralSearch(literal, text, onStep));

  for (let at = 0; at < searches.length;) {
    const [before, here] = [searches[at - 1], searches[at]];
    if (!here) break;
    const previousEnd = before?.end ?? start.length;
    const isLast = at === searches.length - 1;
    const soonest = previousEnd + here.literal.length;
    if (!here.endFrom(isLast ? Math.max(text.length, soonest) : soonest)) return false;
    const barred = wildcards[at] === '*' ? (barriers?.[here.end - here.literal.length] ?? -1) : -1;
    if (barred < previousEnd) {
      at++;
      continue;
    }
    // The single `*` would match a barrier, so the text before it has to end behind that one.
    if (!before?.endFrom(barred + 1)) return false;
    at--;
  }
  return true;
}

/** For each index, the index of the last barrier before it; -1 where there is none. */
function lastBarriers(text: string, barrier: string): Int32Array {
  const last = new Int32Array(text.length + 1).fill(-1);
  for (let at = 0; at < text.length; at++) {
    last[at + 1] = text[at] === barrier ? at : (last[at] ?? -1);
  }
  return last;
}

/** Finds occurrences of a literal from left to right (Knuth, Morris, Pratt): each character of the text is read once. */
class LiteralSearch {
  readonly literal: string;
  /** Where the current occurrence ends. */
  end = -1;
  readonly #text: string;
  readonly #onStep: () => void;
  readonly #borders: Uint32Array;
  #at = 0;
  #matched = 0;

  constructor(literal: string, text: string, onStep: () => void) {
    this.literal = literal;
    this.#text = text;
    this.#onStep = onStep;
    this.#borders = new Uint32Array(literal.length + 1);
    for (let at = 1, border = 0; at < literal.length; at++) {
      border = this.#extend(border, literal[at]);
      this.#borders[at + 1] = border;
    }
  }

  /** Goes on to the first occurrence that ends at `earliest` or later. False when there is none. */
  endFrom(earliest: number): boolean {
    if (this.end >= earliest) return true;
    if (this.literal === '') {
      this.end = earliest;
      this.#onStep();
      return earliest <= this.#text.length;
    }
    while (this.#at < this.#text.length) {
      if (this.#matched === this.literal.length) this.#matched = this.#border(this.#matched);
      this.#matched = this.#extend(this.#matched, this.#text[this.#at++]);
      if (this.#matched < this.literal.length || this.#at < earliest) continue;
      this.end = this.#at;
      return true;
    }
    return false;
  }

  /** The length of the longest beginning of the literal that ends with `character`. */
  #extend(matched: number, character: string | undefined): number {
    let length = matched;
    for (;;) {
      this.#onStep();
      if (this.literal[length] === character) return length + 1;
      if (length === 0) return 0;
      length = this.#border(length);
    }
  }

  #border(length: number): number {
    return this.#borders[length] ?? 0;
  }
}
