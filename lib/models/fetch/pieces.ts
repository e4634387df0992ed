import type { ByteRange } from './range-set.ts';

/** A range that one connection fetches; `start` moves as it is written. */
export interface Piece {
  start: number;
  readonly end: number;
}

/** Pieces in ascending order, so that the beginning of the file is there first, and is hashed meanwhile. */
export function splitIntoPieces(
  gaps: readonly ByteRange[],
  total: number,
  connections: number,
): Piece[] {
  const bytes = pieceBytes(total, connections);
  return gaps.flatMap(({ start, end }) =>
    Array.from({ length: Math.ceil((end - start) / bytes) }, (_, at) => ({
      start: start + at * bytes,
      end: Math.min(end, start + (at + 1) * bytes),
    })),
  );
}

/** Bytes of the largest piece of a file of `total` bytes. */
export function pieceBytes(total: number, connections: number): number {
  const even = Math.ceil(total / (connections * PIECES_EACH));
  return Math.min(Math.max(even, FIRST_BYTES), MOST_BYTES);
}

/** Enough that the last pieces end at about the same time, and few requests: sites limit those, too. */
const PIECES_EACH = 4;
const MOST_BYTES = 64 * 1024 * 1024;
/** The smallest piece, and what the first request asks for. */
export const FIRST_BYTES = 1024 * 1024;
