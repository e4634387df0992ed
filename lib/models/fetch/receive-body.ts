import { addAbortListener } from 'node:events';
import type { Readable } from 'node:stream';
import { disconnected, failed } from '../../download/download-error.ts';
import { isWorkerError } from '../../errors.ts';
import type { Piece } from './pieces.ts';

interface ReceiveOptions {
  /** Where the body should end; it may end earlier. */
  readonly end: number;
  readonly url: URL;
  readonly signal: AbortSignal;
  readonly idleTimeoutMs: number;
  readonly write: (buffers: readonly Uint8Array[], start: number) => Promise<void>;
}

/**
 * Writes a body in blocks, and moves `piece.start` with them. What has arrived before a failure is written as well.
 * @throws WorkerError `input.download_failed` if the connection breaks, or brings next to nothing for `idleTimeoutMs`.
 */
export async function receiveBody(
  body: Readable,
  piece: Piece,
  options: ReceiveOptions,
): Promise<void> {
  const { end, url, signal, idleTimeoutMs, write } = options;
  let buffers: Uint8Array[] = [];
  let buffered = 0;
  const flush = async () => {
    if (buffered === 0) return;
    const [block, bytes] = [buffers, buffered];
    [buffers, buffered] = [[], 0];
    await write(block, piece.start);
    piece.start += bytes;
  };
  const pace = { bytes: 0, isSlow: false };
  using _watch = every(idleTimeoutMs, () => {
    pace.isSlow = pace.bytes < LEAST_BYTES;
    pace.bytes = 0;
    if (pace.isSlow) body.destroy();
  });
  using _abort = addAbortListener(signal, () => body.destroy());
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      const wanted = chunk.subarray(0, end - piece.start - buffered);
      pace.bytes += chunk.length;
      buffers.push(wanted);
      buffered += wanted.length;
      if (buffered >= WRITE_BYTES) await flush();
      if (wanted.length < chunk.length) break; // the server ignores the end of the range
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (isWorkerError(error) || error instanceof DiskFailure) throw error;
    await flush();
    throw pace.isSlow ? failed(url, 'the server almost stopped sending') : disconnected(url, error);
  }
  await flush();
}

/** Writing failed. Not to be taken for a failure of the connection. */
export class DiskFailure extends Error {
  constructor(cause: unknown) {
    super('Writing failed', { cause });
  }
}

function every(ms: number, callback: () => void): Disposable {
  const timer = setInterval(callback, ms).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** Bytes written at once. A killed process loses less than this per connection. */
const WRITE_BYTES = 256 * 1024;
/** An attempt that brings this much is not counted as a retry; one that brings less in the idle time is given up. */
export const LEAST_BYTES = 64 * 1024;
