import type { Base64 } from '../../lib/json-body.ts';
import type { OutputOptions } from '../request/output-options.ts';
import type { Artifact, DeliveredFile } from './artifact.ts';
import { VIDEO_KEYS, type OutputText } from './collect-outputs.ts';
import type { FileDetails } from './describe-files.ts';

/** The key of the result that a file is listed under. */
export type Group = 'images' | 'videos' | 'audio' | 'files';

/** One delivered file. The order of the keys is the one clients see. */
interface ResultItem extends Partial<FileDetails> {
  readonly filename: string;
  /** How to read `data`. */
  readonly type: string;
  readonly data: string | Base64;
}

/** The outputs of a job as they stand in the result. Empty lists are left out, except `images`: clients rely on it. */
export interface Outputs extends Partial<Record<Group, readonly ResultItem[]>> {
  readonly images: readonly ResultItem[];
  readonly texts?: readonly OutputText[];
}

/** Sorts delivered files into groups, each in the order the files were made. `details` has one entry per file, or none. */
export function groupOutputs(
  files: readonly DeliveredFile[],
  texts: readonly OutputText[],
  options: {
    readonly groupBy?: OutputOptions['groupBy'];
    readonly details?: readonly FileDetails[];
  } = {},
): Outputs {
  const { groupBy, details } = options;
  const groups: Record<Group, ResultItem[]> = { images: [], videos: [], audio: [], files: [] };
  for (const [at, { artifact, type, data }] of files.entries()) {
    const item = { filename: artifact.filename, type, data, ...details?.[at] };
    groups[groupOf(artifact, groupBy)].push(item);
  }
  const { images, ...others } = groups;
  return { images, ...withoutEmpty({ ...others, texts }) };
}

/**
 * Clients look in `images` for everything ComfyUI lists there, also for a video, and in `videos` for everything under
 * `gifs` and `videos`. Files under other keys are never put into `images`, where clients of the Python worker would not
 * expect them, unless everything is grouped by media type.
 */
export function groupOf(
  { key, mediaType }: Pick<Artifact, 'key' | 'mediaType'>,
  groupBy: 'key' | 'mediaType' = 'key',
): Group {
  const group = GROUP_OF_MEDIUM.get(mediaType.slice(0, mediaType.indexOf('/'))) ?? 'files';
  if (groupBy === 'mediaType') return group;
  if (key === 'images') return 'images';
  if (VIDEO_KEYS.has(key)) return 'videos';
  if (group !== 'images') return group;
  return mediaType === 'image/gif' || mediaType === 'image/apng' ? 'videos' : 'files';
}

const GROUP_OF_MEDIUM: ReadonlyMap<string, Group> = new Map([
  ['image', 'images'],
  ['video', 'videos'],
  ['audio', 'audio'],
]);

/** The lists that are not empty. */
export function withoutEmpty<T extends object>(lists: T): Partial<T> {
  const kept = Object.entries(lists).filter(([, list]) => Array.isArray(list) && list.length > 0);
  return Object.fromEntries(kept) as Partial<T>;
}

/** If there are fewer outputs than expected: a sentence with the expected and the actual numbers. Else undefined. */
export function describeMissing(
  outputs: Outputs,
  expected: OutputOptions['expect'] = {},
): string | undefined {
  const wanted = Object.entries(expected) as [Counted, number][];
  if (wanted.every(([group, count]) => (outputs[group]?.length ?? 0) >= count)) return undefined;
  const asked = wanted.map(([group, count]) => counted(count, group));
  const found = COUNTED.flatMap((group) => {
    const items = outputs[group] ?? [];
    if (items.length === 0) return [];
    const names = items.map((item) => ('filename' in item ? item.filename : `node ${item.nodeId}`));
    const shown = names.slice(0, MAX_NAMES).join(', ');
    const rest = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : '';
    return [`${counted(items.length, group)} (${shown}${rest})`];
  });
  return `Expected ${asked.join(', ')}; what came is ${found.join(', ') || 'nothing'}`;
}

const COUNTED = ['images', 'videos', 'audio', 'files', 'texts'] as const;
type Counted = (typeof COUNTED)[number];

const SINGULAR: Readonly<Record<Counted, string>> = {
  images: 'image',
  videos: 'video',
  audio: 'audio file',
  files: 'file',
  texts: 'text',
};
const counted = (count: number, group: Counted) =>
  `${count} ${SINGULAR[group]}${count === 1 ? '' : 's'}`;

const MAX_NAMES = 5;
