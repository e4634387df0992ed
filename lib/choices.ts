import type { JsonText } from './json.ts';

/**
 * The choices of a combo input from its description in `/object_info`: `[["a", "b"], {...}]` or
 * `["COMBO", {"options": ["a", "b"]}]`. Undefined when it is no combo.
 */
export function choicesOf(description: JsonText | undefined): string[] | undefined {
  return choiceList(description)?.items().map(choiceText);
}

/** Whether `wanted` is a choice; undefined when the input is no combo. */
export function hasChoice(description: JsonText | undefined, wanted: string): boolean | undefined {
  const list = choiceList(description);
  // A list can have thousands of choices, so search the text before parsing it.
  return (
    list &&
    (list.text.includes(JSON.stringify(wanted)) || list.items().map(choiceText).includes(wanted))
  );
}

function choiceList(description: JsonText | undefined): JsonText | undefined {
  const [type, options] = description?.items() ?? [];
  const list = type?.kind === 'array' ? type : options?.get('options');
  return list?.kind === 'array' ? list : undefined;
}

const choiceText = (choice: JsonText) => String(choice.value());

/** Choices for an error message: all of a short list; of a long one those most similar to `wanted`. */
export function listChoices(choices: readonly string[], wanted: string): string {
  if (choices.length === 0) return 'none';
  if (choices.length <= MAX_LISTED) return choices.join(', ');
  const listed = bySimilarity(choices, wanted).slice(0, LISTED_OF_MANY);
  const names = listed.map(({ choice }) => choice).join(', ');
  return `${names} and ${choices.length - LISTED_OF_MANY} more`;
}

/** At most `count` names that `wanted` may be a misspelling of, the most similar first. */
export function nearest(names: readonly string[], wanted: string, count: number): string[] {
  const all = bySimilarity(names, wanted);
  const threshold = Math.max(MIN_SIMILARITY, (all[0]?.similarity ?? 0) * MIN_SHARE_OF_BEST);
  return all
    .filter(({ similarity }) => similarity >= threshold)
    .slice(0, count)
    .map(({ choice }) => choice);
}

/** Sørensen–Dice coefficient of letter pairs: word order and endings matter little. */
function bySimilarity(choices: readonly string[], wanted: string) {
  const wantedPairs = letterPairs(wanted);
  return choices
    .map((choice) => {
      const pairs = letterPairs(choice);
      const common = [...pairs].filter((pair) => wantedPairs.has(pair)).length;
      return { choice, similarity: (2 * common) / Math.max(1, pairs.size + wantedPairs.size) };
    })
    .sort((a, b) => b.similarity - a.similarity);
}

/** Folder and extension are left out: people get them wrong, and all models share them. */
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

const MAX_LISTED = 10;
const LISTED_OF_MANY = 8;
/** Similarity from which on a name counts as a possible misspelling. */
const MIN_SIMILARITY = 0.5;
/** Names much less similar than the best one are left out. */
const MIN_SHARE_OF_BEST = 0.8;
