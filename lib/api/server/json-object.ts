/** JSON text in pieces: those that were there already are neither parsed nor copied. */
export type Piece = string | Buffer;

/** An object from texts of its values; undefined ones are left out. */
export function objectOf(members: Readonly<Record<string, readonly Piece[] | undefined>>): Piece[] {
  const pieces: Piece[] = [];
  for (const [name, value] of Object.entries(members)) {
    if (value) pieces.push(`${pieces.length === 0 ? '{' : ','}${JSON.stringify(name)}:`, ...value);
  }
  return pieces.length === 0 ? ['{}'] : [...pieces, '}'];
}

export function arrayOf(items: readonly (readonly Piece[])[]): Piece[] {
  return ['[', ...items.flatMap((item, index) => (index === 0 ? item : [',', ...item])), ']'];
}

/** A plain value as text; undefined stays undefined. */
export function textOf(value: string | number | undefined): Piece[] | undefined {
  return value === undefined ? undefined : [JSON.stringify(value)];
}

/** Neighbouring short pieces as one, so that only long ones travel on their own. */
export function toBuffers(pieces: readonly Piece[]): Buffer[] {
  const buffers: Buffer[] = [];
  let short: Buffer[] = [];
  for (const piece of pieces) {
    const bytes = typeof piece === 'string' ? Buffer.from(piece) : piece;
    if (bytes.length < LONG_BYTES) short.push(bytes);
    else {
      buffers.push(Buffer.concat(short), bytes);
      short = [];
    }
  }
  return [...buffers, Buffer.concat(short)];
}

const LONG_BYTES = 65_536;
