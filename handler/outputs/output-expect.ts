import type { OutputOptions } from '../request/output-options.ts';
import type { Outputs } from './output-items.ts';

type Expected = NonNullable<OutputOptions['expect']>;
type Counted = keyof Expected;

/** What is missing of what the caller expects, as one sentence that says what came; undefined when nothing is. */
export function maybeMissing(outputs: Outputs, expected: Expected = {}): string | undefined {
  const counts = Object.entries(expected) as [Counted, number | undefined][];
  const wanted = counts.flatMap(([group, count]) =>
    count === undefined ? [] : [{ group, count }],
  );
  const isEnough = wanted.every(({ group, count }) => (outputs[group]?.length ?? 0) >= count);
  if (isEnough) return undefined;
  const asked = wanted.map(({ group, count }) => counted(count, group)).join(', ');
  return `Expected ${asked}; what came is ${whatCame(outputs)}`;
}

function whatCame(outputs: Outputs): string {
  const came = GROUPS.flatMap((group) => {
    const some = outputs[group] ?? [];
    if (some.length === 0) return [];
    const names = some.map((item) => ('filename' in item ? item.filename : `node ${item.nodeId}`));
    const shown = names.slice(0, SHOWN).join(', ');
    const rest = names.length > SHOWN ? ` and ${names.length - SHOWN} more` : '';
    return [`${counted(some.length, group)} (${shown}${rest})`];
  });
  return came.join(', ') || 'nothing';
}

function counted(count: number, group: Counted): string {
  return `${count} ${count === 1 ? ONE[group] : MANY[group]}`;
}

const GROUPS = ['images', 'videos', 'audio', 'files', 'texts'] as const;
const ONE = { images: 'image', videos: 'video', audio: 'audio file', files: 'file', texts: 'text' };
const MANY = {
  images: 'images',
  videos: 'videos',
  audio: 'audio files',
  files: 'files',
  texts: 'texts',
};
const SHOWN = 5;
