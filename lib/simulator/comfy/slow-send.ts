import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { lengthOf, piecesOf, type Answer } from './answers.ts';
import type { ViewFault } from './faults.ts';

/** Sends an answer at a pace, or only the beginning of it. Never rejects. */
export async function sendSlowly(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { bytesPerSecond = Infinity, truncateAtBytes = Infinity }: ViewFault,
): Promise<void> {
  const length = lengthOf(body);
  response.writeHead(status, { ...headers, 'content-length': length });
  let left = Math.min(length, truncateAtBytes);
  const step = Math.max(1, Math.ceil(bytesPerSecond / PIECES_PER_SECOND));
  const pieces = piecesOf(body, Math.min(MAX_PIECE_BYTES, step));
  try {
    for await (const piece of pieces) {
      if (left <= 0 || response.destroyed) break;
      await written(response, piece.subarray(0, left));
      left -= piece.length;
      if (Number.isFinite(bytesPerSecond))
        await sleep(1000 / PIECES_PER_SECOND, undefined, { ref: false });
    }
  } catch {
    response.destroy(); // The file is gone.
  }
  if (truncateAtBytes < length) response.socket?.resetAndDestroy();
  else response.end();
}

const MAX_PIECE_BYTES = 1024 * 1024;
const PIECES_PER_SECOND = 20;

/** Resolves when the piece has left, or the connection is gone. */
function written(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(piece, () => resolve()));
}
