import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

/** Whether two files hold the same bytes; without a pause, and with no more than a piece of each in memory. */
export function haveSameBytes(one: string, other: string): boolean {
  const files = [openSync(one, 'r'), openSync(other, 'r')] as const;
  try {
    return fstatSync(files[0]).size === fstatSync(files[1]).size && compare(...files);
  } finally {
    files.forEach(closeSync);
  }
}

function compare(one: number, other: number): boolean {
  const [a, b] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  for (;;) {
    const read = readSync(one, a);
    readSync(other, b);
    if (!a.subarray(0, read).equals(b.subarray(0, read))) return false;
    if (read < PIECE_BYTES) return true;
  }
}

const PIECE_BYTES = 256 * 1024;
