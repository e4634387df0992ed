import { createHash } from 'node:crypto';

/** The bytes of a file, or how many of a pattern: a file of hundreds of megabytes that is nowhere. */
export type Content = Uint8Array | { readonly patternBytes: number };

export function sizeOf(content: Content): number {
  return content instanceof Uint8Array ? content.length : content.patternBytes;
}

/** The bytes from `start` to `end` (exclusive) in pieces of at most 64 KiB. */
export function* readContent(content: Content, start: number, end: number): Generator<Uint8Array> {
  for (let at = start; at < end;) {
    const piece = pieceAt(content, at, end);
    yield piece;
    at += piece.length;
  }
}

/** To compare with what somebody downloaded. */
export function sha256Of(content: Content): string {
  const hash = createHash('sha256');
  for (const piece of readContent(content, 0, sizeOf(content))) hash.update(piece);
  return hash.digest('hex');
}

function pieceAt(content: Content, at: number, end: number): Uint8Array {
  if (content instanceof Uint8Array) return content.subarray(at, Math.min(end, at + PIECE_BYTES));
  const from = at % PATTERN.length;
  return PATTERN.subarray(from, from + Math.min(end - at, PATTERN.length - from));
}

const PIECE_BYTES = 64 * 1024;

/** Its length is a prime, so that a download resumed at the wrong place, a round number off, is not the same bytes. */
const PATTERN = Uint8Array.from({ length: 65_521 }, (_, at) => at * 167 + (at >> 8));
