import { createHash } from 'node:crypto';

/** Numbers from 0 to 1 that are the same whenever the parts are the same (sfc32, seeded by a hash). */
export function seededRandom(...parts: readonly (string | number | bigint)[]): () => number {
  const hash = createHash('sha256').update(parts.join('\0')).digest();
  let [a, b, c, counter] = [0, 4, 8, 12].map((at) => hash.readInt32LE(at)) as [
    number,
    number,
    number,
    number,
  ];
  return () => {
    const sum = (a + b + counter++) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  };
}
