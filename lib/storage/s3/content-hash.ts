import { createHash } from 'node:crypto';

/** SHA-256 of a file in hexadecimal digits, read a piece at a time. */
export async function contentHash(content: Blob, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of content.stream() as AsyncIterable<Uint8Array>) {
    signal.throwIfAborted();
    hash.update(chunk);
  }
  return hash.digest('hex');
}
