/**
 * A pattern for whole URLs: `*` is anything but a slash, `**` is anything, every other character is itself. Without a
 * scheme it is for https; http is meant only where it is written, because a secret sent that way can be read by all.
 */
export function toUrlTest(pattern: string): (url: string) => boolean {
  const [, scheme = 'https', host = '', rest = ''] =
    /^(?:([a-z][a-z0-9]*|\*+):\/\/)?([^/]*)(.*)$/is.exec(pattern) ?? [];
  const wanted = scheme.startsWith('*') ? 'https' : scheme;
  const steps = stepsOf(`${wanted.toLowerCase()}://${host.toLowerCase()}${rest}`);
  return (url) => isMatch(steps, url);
}

/** Single characters and wildcards. */
const stepsOf = (pattern: string): readonly string[] => pattern.match(/\*+|[^*]/gsu) ?? [];

/**
 * Follows all ways through the pattern at once, a character at a time. A regular expression with several wildcards can
 * take years over a URL made for that.
 */
function isMatch(steps: readonly string[], url: string): boolean {
  let places = skipWildcards(steps, [0]);
  for (const character of url) {
    places = skipWildcards(
      steps,
      [...places].flatMap((place) => advance(steps[place], place, character)),
    );
  }
  return places.has(steps.length);
}

function advance(step: string | undefined, place: number, character: string): readonly number[] {
  if (step === '*') return character === '/' ? [] : [place];
  if (step?.startsWith('*')) return [place];
  return step === character ? [place + 1] : [];
}

/** A wildcard may stand for nothing. */
function skipWildcards(steps: readonly string[], from: readonly number[]): Set<number> {
  const places = new Set(from);
  for (const place of places) if (steps[place]?.startsWith('*')) places.add(place + 1);
  return places;
}
