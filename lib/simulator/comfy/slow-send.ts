import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from './answers.ts';
import type { ViewFault } from './faults.ts';

/** Sends an answer at a pace, or only the beginning of it. */
export async function sendSlowly(
  response: ServerResponse,
  { status, headers, body }: Answer,
  { bytesPerSecond = Infinity, truncateAtBytes = Infinity }: ViewFault,
): Promise<void> {
  response.writeHead(status, { ...headers, 'content-length': body.length });
  const end = Math.min(body.length, truncateAtBytes);
  const piece = Math.min(body.length, Math.max(1, Math.ceil(bytesPerSecond / PIECES_PER_SECOND)));
  for (let at = 0; at < end && !response.destroyed; at += piece) {
    await written(response, body.subarray(at, Math.min(end, at + piece)));
    if (Number.isFinite(bytesPerSecond))
      await sleep(1000 / PIECES_PER_SECOND, undefined, { ref: false });
  }
  if (end < body.length) response.socket?.resetAndDestroy();
  else response.end();
}

const PIECES_PER_SECOND = 20;

/** Resolves when the piece has left, or the connection is gone. */
function written(response: ServerResponse, piece: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(piece, () => resolve()));
}
