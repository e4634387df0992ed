import type { FileHandle } from 'node:fs/promises';
import type { FileContent } from '../../file-content.ts';

/** A text found in a file's metadata. The name is as the file has it: `prompt`, `Comment`, `exif 271`. */
export type NamedText = readonly [name: string, text: string];

/** Gives the metadata texts of one kind of file, in file order. @throws DamagedFile */
export type MetadataReader = (source: ByteSource) => AsyncGenerator<NamedText>;

/** The file's structure contradicts itself, or is larger than a reader accepts. The message ends a sentence: `the file ...`. */
export class DamagedFile extends Error {}

/**
 * Random access to the bytes of a file. Readers skip pixels and sound by their length, so only the metadata is read. Each
 * part of a file costs a reader at least one call of {@link bytes}. The number of calls and the bytes they return are
 * limited, so every reader ends soon, whatever the file says.
 */
export class ByteSource {
  readonly size: number;
  readonly #load: (start: number, length: number) => Promise<Buffer>;
  #window: { readonly start: number; readonly bytes: Buffer } = {
    start: 0,
    bytes: Buffer.alloc(0),
  };
  #calls = 0;
  #bytesGiven = 0;

  private constructor(size: number, load: (start: number, length: number) => Promise<Buffer>) {
    this.size = size;
    this.#load = load;
  }

  static ofBytes(bytes: Uint8Array): ByteSource {
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const source = new ByteSource(buffer.length, () => Promise.resolve(buffer));
    source.#window = { start: 0, bytes: buffer };
    return source;
  }

  /** The file stays open; it belongs to the caller. */
  static async ofFile(file: FileHandle): Promise<ByteSource> {
    const { size } = await file.stat();
    return new ByteSource(size, async (start, length) => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, start);
      return buffer.subarray(0, bytesRead);
    });
  }

  static ofContent(content: FileContent): ByteSource {
    return new ByteSource(content.size, async (start, length) => {
      const bytes = await content.slice(start, start + length).bytes();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    });
  }

  /** Exactly these bytes. @throws DamagedFile if the file ends before, or if a limit is reached. */
  async bytes(start: number, length: number): Promise<Buffer> {
    if (++this.#calls > MOST_CALLS) throw new DamagedFile('has too many parts');
    if (length > MOST_BYTES) throw new DamagedFile(`has a text of ${length} bytes`);
    const end = start + length;
    if (!(start >= 0 && length >= 0 && end <= this.size)) {
      throw new DamagedFile(`ends at byte ${this.size}, in the middle of its metadata`);
    }
    this.#bytesGiven += length;
    if (this.#bytesGiven > 2 * this.size + WINDOW_BYTES) {
      throw new DamagedFile('has parts that lie one upon the other');
    }
    if (start < this.#window.start || end > this.#window.start + this.#window.bytes.length) {
      const loaded = Math.min(Math.max(length, WINDOW_BYTES), this.size - start);
      this.#window = { start, bytes: await this.#load(start, loaded) };
      if (this.#window.bytes.length < length) throw new DamagedFile('has become shorter');
    }
    return this.#window.bytes.subarray(start - this.#window.start, end - this.#window.start);
  }

  /** The whole file as text: UTF-8, or UTF-16 if it begins with the mark of that. */
  async text(): Promise<string> {
    const bytes = await this.#load(0, this.size);
    const isUtf16 = bytes.length >= 2 && [0xfffe, 0xfeff].includes(bytes.readUInt16BE());
    const encoding = isUtf16 ? (bytes[0] === 0xff ? 'utf-16le' : 'utf-16be') : 'utf-8';
    return new TextDecoder(encoding).decode(bytes); // it leaves out the mark
  }

  /** The first bytes of the file; fewer if it is shorter. */
  head(length: number): Promise<Buffer> {
    return this.bytes(0, Math.min(length, this.size));
  }
}

/** The text without zero bytes at its end. */
export function utf8(bytes: Buffer): string {
  return withoutPadding(bytes.toString('utf8'));
}

/** Not a regular expression: `/\0+$/` takes quadratic time when there are zeros everywhere. */
export function withoutPadding(text: string): string {
  let end = text.length;
  while (text.charCodeAt(end - 1) === 0) end--;
  return text.slice(0, end);
}

/** Of one text. The largest workflows have a few megabytes. */
const MOST_BYTES = 32_000_000;
const MOST_CALLS = 200_000;
const WINDOW_BYTES = 65_536;
