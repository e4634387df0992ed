import { createWriteStream, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import type { FetchFileOptions } from '../backend.ts';

/** The body of an answer: in memory when it says it is small, else in a new file. What came of a broken one is removed. */
export async function receiveFile(
  { headers, body }: Dispatcher.ResponseData,
  { newPath, memoryBytes, signal }: FetchFileOptions,
): Promise<Blob> {
  if (Number(headers['content-length']) <= memoryBytes) return new Blob([await body.bytes()]);
  const path = await newPath().catch((error: unknown) => {
    body.on('error', () => undefined).destroy(); // nobody reads it now, and it would keep its connection
    throw error;
  });
  try {
    await pipeline(body, createWriteStream(path, { flags: 'wx' }), { signal });
    return await openAsBlob(path);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}
