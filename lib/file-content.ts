/**
 * The bytes of a file: a blob that reads them from disk, or bytes in memory. A blob in memory would copy them when it is
 * made, and once more for each reader.
 */
export type FileContent = MemoryFile | Blob;

/** Bytes in memory, with the methods of a blob that read them. The bytes belong to the file. */
export class MemoryFile {
  readonly #bytes: Buffer<ArrayBuffer>;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get size(): number {
    return this.#bytes.length;
  }

  /** The bytes themselves, not a copy. */
  bytes(): Promise<Buffer<ArrayBuffer>> {
    return Promise.resolve(this.#bytes);
  }

  stream(): Iterable<Buffer> {
    return [this.#bytes];
  }

  slice(start?: number, end?: number): MemoryFile {
    return new MemoryFile(this.#bytes.subarray(start, end));
  }

  /**
   * The file with new bytes in some places, in ascending order. This file must not be used any more: when the new bytes are
   * not longer, what lies before them moves back within the same memory, so that nothing behind them is copied.
   */
  replacing(splices: readonly Splice[]): MemoryFile {
    const bytes = this.#bytes;
    const parts: Buffer[] = [];
    let at = 0;
    for (const { start, end, bytes: inserted } of splices) {
      parts.push(bytes.subarray(at, start), inserted);
      at = end;
    }
    const front = Buffer.concat(parts);
    if (front.length > at) return new MemoryFile(Buffer.concat([front, bytes.subarray(at)]));
    front.copy(bytes, at - front.length);
    return new MemoryFile(bytes.subarray(at - front.length));
  }
}

/** New bytes for a part of a file. */
export interface Splice {
  readonly start: number;
  readonly end: number;
  readonly bytes: Buffer<ArrayBuffer>;
}

/** For libraries that take nothing else. */
export async function toBlob(content: FileContent): Promise<Blob> {
  return content instanceof MemoryFile ? new Blob([await content.bytes()]) : content;
}
