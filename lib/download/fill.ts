import { isWorkerError, type WorkerError } from '../errors.ts';
import type { Part } from './answer.ts';
import type { PartialFile } from './partial-file.ts';
import { unconnected, failed, refused } from './refusal.ts';

export interface FillOptions {
  readonly url: URL;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/**
 * Adds what a server sends to what is there already.
 * @throws WorkerError unless the file is whole then; what came stays, for the next try to go on from.
 */
export async function fillFrom(part: Part, file: PartialFile, options: FillOptions): Promise<void> {
  const { url, maxBytes, signal } = options;
  try {
    await lineUp(part, file, url);
    if ((part.total ?? 0) > maxBytes) throw tooLarge(url, `${part.total ?? ''} bytes`, maxBytes);
    for await (const chunk of part.body as AsyncIterable<Uint8Array>) {
      if (file.bytes + chunk.length > maxBytes) throw tooLarge(url, 'more', maxBytes);
      await file.append(chunk);
    }
  } catch (error) {
    part.body.on('error', () => undefined).destroy();
    if (signal.aborted) throw signal.reason;
    throw isWorkerError(error) ? error : brokenOff(error, { part, file, url });
  }
  if (file.bytes === 0) throw refused(url, 'the file is empty');
  if (part.total !== undefined && file.bytes !== part.total) {
    throw failed(url, `the server said ${part.total} bytes, and sent ${file.bytes}`);
  }
}

/** A part that does not go on where we are cannot be used; nothing we have can, if it is of another version. */
async function lineUp(part: Part, file: PartialFile, url: URL): Promise<void> {
  if (part.offset === 0) {
    await file.restart(part.version);
    return;
  }
  const isSame = part.version === undefined || part.version === file.version;
  if (isSame && part.offset === file.bytes) return;
  await file.restart(undefined);
  throw failed(url, 'the server did not send the part that was asked for');
}

function tooLarge(url: URL, size: string, maxBytes: number): WorkerError {
  return refused(
    url,
    `the file has ${size}, and at most ${maxBytes} bytes are fetched (DOWNLOAD_MAX_BYTES)`,
  );
}

interface Broken {
  readonly part: Part;
  readonly file: PartialFile;
  readonly url: URL;
}

function brokenOff(error: unknown, { part, file, url }: Broken): WorkerError {
  const of = part.total === undefined ? '' : ` of ${part.total}`;
  return unconnected(url, error, ` after ${file.bytes}${of} bytes`);
}
