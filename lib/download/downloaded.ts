import { open } from 'node:fs/promises';
import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../media-type.ts';
import type { Part } from './answer.ts';
import type { PartialFile } from './partial-file.ts';

/** A file that was fetched. It belongs to the caller. */
export interface Downloaded {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly digest: string;
  /** By its bytes, else by what the server said, else by its name. */
  readonly mediaType: string;
  /** What the server calls it, or the end of the URL; without any folder. */
  readonly filename: string;
}

/** @param part what the last answer said of the file. */
export async function describeFile(file: PartialFile, part: Part, url: URL): Promise<Downloaded> {
  const filename = leafOf(part.filename ?? url.pathname);
  const said = UNTOLD.has(part.mediaType ?? '') ? undefined : part.mediaType;
  const mediaType =
    (await maybeMediaTypeOf(await headOf(file.path))) ?? said ?? mediaTypeOf(filename);
  return { path: file.path, bytes: file.bytes, digest: file.digest(), mediaType, filename };
}

/** What servers say when nobody told them. */
const UNTOLD = new Set(['application/octet-stream', 'binary/octet-stream']);

async function headOf(path: string): Promise<Uint8Array> {
  await using file = await open(path);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
  return buffer.subarray(0, bytesRead);
}

/** The last step of a path, read as escapes mean it. */
function leafOf(path: string): string {
  return decode(path).split(/[/\\]/).at(-1) ?? '';
}

/** As it stands when it is no proper escape. */
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
