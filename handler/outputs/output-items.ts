import type { Base64 } from '../../lib/json-body.ts';
import type { DeliveredFile } from './artifact.ts';
import type { OutputDetails } from './output-details.ts';
import { groupOf, type Group } from './output-media.ts';
import type { OutputText } from './output-texts.ts';

/** One delivered file, with the keys in the order clients see. */
interface ResultItem extends Partial<OutputDetails> {
  readonly filename: string;
  /** How `data` is to be read. */
  readonly type: string;
  readonly data: string | Base64;
}

/** What a job has made, as it stands in the result. Only `images` is there when empty: clients read it without looking. */
export interface Outputs extends Partial<Record<Group, readonly ResultItem[]>> {
  readonly images: readonly ResultItem[];
  readonly texts?: readonly OutputText[];
}

export interface ItemOptions {
  readonly groupBy?: 'key' | 'mediaType' | undefined;
  /** What else is told of a file, by its place in the list. */
  readonly details?: readonly OutputDetails[];
}

/** Sorts delivered files into their groups, each in the order they were made. */
export function toOutputs(
  files: readonly DeliveredFile[],
  texts: readonly OutputText[],
  { groupBy, details }: ItemOptions = {},
): Outputs {
  const groups: Record<Group, ResultItem[]> = { images: [], videos: [], audio: [], files: [] };
  for (const [at, { artifact, type, data }] of files.entries()) {
    const item = { filename: artifact.filename, type, data, ...details?.[at] };
    groups[groupOf(artifact, groupBy)].push(item);
  }
  const { images, ...others } = groups;
  return { images, ...present(others), ...present({ texts }) };
}

/** The lists that are not empty. */
export function present<T extends object>(lists: T): Partial<T> {
  const some = Object.entries(lists).filter(([, list]) => Array.isArray(list) && list.length > 0);
  return Object.fromEntries(some) as Partial<T>;
}
