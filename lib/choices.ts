import type { JsonText } from './json.ts';

/**
 * The choices of a combo input, from its description: `[["a", "b"], {...}]` or `["COMBO", {"options": ["a", "b"]}]`.
 * Undefined when the description has none.
 */
export function choicesOf(description: JsonText | undefined): string[] | undefined {
  return listOf(description)?.items().map(textOf);
}

/** Whether a choice is among them; undefined when there are none. A list may have thousands: it is not taken apart for nothing. */
export function hasChoice(description: JsonText | undefined, wanted: string): boolean | undefined {
  const list = listOf(description);
  return (
    list &&
    (list.text.includes(JSON.stringify(wanted)) || list.items().map(textOf).includes(wanted))
  );
}

function listOf(description: JsonText | undefined): JsonText | undefined {
  const [type, options] = description?.items() ?? [];
  const list = type?.kind === 'array' ? type : options?.get('options');
  return list?.kind === 'array' ? list : undefined;
}

const textOf = (choice: JsonText) => String(choice.value());

/** Choices for people: all of a short list, of a long one the nearest to what was asked for. */
export function listChoices(choices: readonly string[], wanted: string): string {
  if (choices.length === 0) return 'none';
  if (choices.length <= LISTED) return choices.join(', ');
  const listed = byLikeness(choices, wanted).slice(0, LISTED_OF_MANY);
  const names = listed.map(({ choice }) => choice).join(', ');
  return `${names} and ${choices.length - LISTED_OF_MANY} more`;
}

/** Names somebody may have meant, the likeliest first; none when nothing is like it. */
export function nearest(names: readonly string[], wanted: string, count: number): string[] {
  const all = byLikeness(names, wanted);
  const least = Math.max(MEANT, (all[0]?.likeness ?? 0) * NEARLY_AS_LIKE);
  return all
    .filter(({ likeness }) => likeness >= least)
    .slice(0, count)
    .map(({ choice }) => choice);
}

function byLikeness(choices: readonly string[], wanted: string) {
  const pairs = letterPairs(wanted);
  return choices
    .map((choice) => ({ choice, likeness: likenessOf(letterPairs(choice), pairs) }))
    .sort((a, b) => b.likeness - a.likeness);
}

/** Share of letter pairs two names have in common (Dice): order of words and endings matter little. */
function likenessOf(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  const common = [...a].filter((pair) => b.has(pair)).length;
  return (2 * common) / Math.max(1, a.size + b.size);
}

/** Of the name without folder and ending: those are what people get wrong, and what all models share. */
function letterPairs(name: string): ReadonlySet<string> {
  const letters = name
    .toLowerCase()
    .replace(/^.*[\\/]/, '')
    .replace(/\.[a-z0-9]+$/, '')
    .replace(/[^\p{L}\p{N}]/gu, '');
  return new Set(
    Array.from({ length: Math.max(0, letters.length - 1) }, (_, at) => letters.slice(at, at + 2)),
  );
}

const LISTED = 10;
const LISTED_OF_MANY = 8;
/** Likeness from which on a name may be a misspelling of another. */
const MEANT = 0.5;
/** What is much less like it than the best is not worth a line. */
const NEARLY_AS_LIKE = 0.8;
