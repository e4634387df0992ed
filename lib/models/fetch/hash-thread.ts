/**
 * Hashes a file from its beginning while it grows. The bytes are read back from the disk, where they have just been written,
 * so they are in the system's cache. Only `prefix-hash.ts` starts this thread.
 */

import { createHash } from 'node:crypto';
import { openSync, readSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';

/** The bytes up to `until` are there. With `isAll` there are no more, and the digest is posted back. */
export interface HashMessage {
  readonly until: number;
  readonly isAll: boolean;
}

const file = openSync((workerData as { readonly path: string }).path, 'r');
const hash = createHash('sha256');
const buffer = Buffer.allocUnsafe(4 * 1024 * 1024);
let hashed = 0;

parentPort?.on('message', ({ until, isAll }: HashMessage) => {
  while (hashed < until) {
    const bytes = readSync(file, buffer, 0, Math.min(buffer.length, until - hashed), hashed);
    if (bytes === 0) throw new Error(`The file ended at ${hashed} of ${until} bytes`);
    hash.update(buffer.subarray(0, bytes));
    hashed += bytes;
  }
  if (isAll) parentPort?.postMessage(hash.digest('hex'));
});
