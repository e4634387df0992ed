import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../../lib/media-type.ts';
import type { Artifact } from './artifact.ts';

/** Under which key of the result a file comes. */
export type Group = 'images' | 'videos' | 'audio' | 'files';

/** What the bytes say they are, where that is a medium; else what the name says, and last what else the bytes say. */
export async function mediaTypeOfFile(content: Blob, filename: string): Promise<string> {
  const head = new Uint8Array(await content.slice(0, HEAD_BYTES).arrayBuffer());
  const found = await maybeMediaTypeOf(head);
  if (found !== undefined && mediumOf(found) !== undefined) return found;
  const named = mediaTypeOf(filename);
  return named === UNKNOWN ? (found ?? UNKNOWN) : named;
}

/**
 * Clients look in `images` for whatever ComfyUI calls an image, also for a video. What other keys hold never came before
 * and stays out of there, unless everything is to be sorted by what it is.
 */
export function groupOf(
  { key, mediaType }: Pick<Artifact, 'key' | 'mediaType'>,
  groupBy: 'key' | 'mediaType' = 'key',
): Group {
  if (groupBy === 'mediaType') return mediumOf(mediaType) ?? 'files';
  if (key === 'images') return 'images';
  const medium = mediumOf(mediaType) ?? 'files';
  if (medium !== 'images') return medium;
  return isMoving(key, mediaType) ? 'videos' : 'files';
}

function mediumOf(mediaType: string): Group | undefined {
  return MEDIA.get(mediaType.slice(0, mediaType.indexOf('/')));
}

const MEDIA: ReadonlyMap<string, Group> = new Map([
  ['image', 'images'],
  ['video', 'videos'],
  ['audio', 'audio'],
]);

/** `gifs` is where VideoHelperSuite shows its videos, and those it wrote as an animated picture. */
const isMoving = (key: string, mediaType: string) =>
  key === 'gifs' || mediaType === 'image/gif' || mediaType === 'image/apng';

const UNKNOWN = 'application/octet-stream';
