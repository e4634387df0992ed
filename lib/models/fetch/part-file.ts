import { open, readFile, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { RangeSet, type ByteRange } from './range-set.ts';

/** The version of a file on a server. All bytes of a part file are of one version. */
export interface Version {
  readonly total: number;
  /** Undefined if the server has none: then only the SHA-256 tells whether the bytes belong together. */
  readonly etag?: string | undefined;
}

/**
 * A model that is being downloaded, beside its target:
 *
 *     model.safetensors.part           the bytes; has its full length from the beginning
 *     model.safetensors.part.journal   the version, then a line `start end` for each range that is written
 *
 * A range is written before its line is. So a killed process loses the ranges that were on their way, and nothing else. A
 * machine that went down may also have lost ranges with a line, because nothing is flushed before the end; {@link survived}
 * tells.
 */
export class PartFile implements AsyncDisposable {
  /** The path of the bytes. */
  readonly path: string;
  readonly #target: string;
  readonly #journalPath: string;
  readonly #file: FileHandle;
  #journal: FileHandle | undefined;
  #version: Version | undefined;
  #present = new RangeSet();

  private constructor(target: string, file: FileHandle) {
    this.#target = target;
    this.path = partPath(target);
    this.#journalPath = journalPath(target);
    this.#file = file;
  }

  /**
   * Opens what an earlier process left, or a new part file.
   * @param key names the content. Bytes that were fetched under another key are dropped.
   * @param mustSurvive drop the bytes also if the machine was restarted since
   */
  static async open(
    target: string,
    { key, mustSurvive }: { readonly key: string; readonly mustSurvive: boolean },
  ): Promise<PartFile> {
    const file = await open(partPath(target), 'r+').catch(() => open(partPath(target), 'w+'));
    const part = new PartFile(target, file);
    const saved = await readJournal(journalPath(target));
    const boot = await bootId();
    if (saved?.key === key && (!mustSurvive || saved.boot === boot)) {
      part.#version = { total: saved.total, etag: saved.etag };
      saved.ranges.forEach((range) => part.#present.add(range));
      part.#journal = await open(part.#journalPath, 'a');
    } else await part.reset();
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#journal?.close();
    this.#journal = undefined;
    await this.#file.close();
  }

  /** Undefined while no range is here. */
  get version(): Version | undefined {
    return this.#version;
  }

  get present(): Pick<RangeSet, 'bytes' | 'prefix' | 'gaps'> {
    return this.#present;
  }

  /** Drops all bytes. */
  async reset(): Promise<void> {
    await this.#journal?.close();
    this.#journal = undefined;
    await rm(this.#journalPath, { force: true });
    await this.#file.truncate(0);
    this.#version = undefined;
    this.#present = new RangeSet();
  }

  /** Makes place for a file of this version, of which nothing is here yet. */
  async begin(version: Version, key: string): Promise<void> {
    await this.#file.truncate(version.total);
    this.#journal = await open(this.#journalPath, 'w');
    await this.#journal.write(`${JSON.stringify({ ...version, key, boot: await bootId() })}\n`);
    this.#version = version;
  }

  /** Writes buffers, one after the other, from `start` on. Without a version they are not resumed after a restart. */
  async write(buffers: readonly Uint8Array[], start: number): Promise<void> {
    const bytes = buffers.reduce((sum, { length }) => sum + length, 0);
    let { bytesWritten } = await this.#file.writev([...buffers], start);
    // A full disk takes a part of it. Writing the rest then tells the reason.
    const rest = bytesWritten < bytes ? Buffer.concat(buffers) : undefined;
    while (rest && bytesWritten < bytes) {
      const written = await this.#file.write(rest, bytesWritten, null, start + bytesWritten);
      bytesWritten += written.bytesWritten;
    }
    const range = { start, end: start + bytes };
    await this.#journal?.write(`${range.start} ${range.end}\n`);
    this.#present.add(range);
  }

  /** Cuts off what an earlier, longer attempt has left. */
  async truncate(bytes: number): Promise<void> {
    await this.#file.truncate(bytes);
  }

  /** The first `bytes` bytes of the file, or fewer if it is shorter. */
  async head(bytes: number): Promise<Buffer> {
    const { buffer, bytesRead } = await this.#file.read(Buffer.alloc(bytes), 0, bytes, 0);
    return buffer.subarray(0, bytesRead);
  }

  /** Gives the complete file its name. It is on the disk before it has it. */
  async publish(): Promise<void> {
    await this.#file.sync();
    await rename(this.path, this.#target);
    await rm(this.#journalPath, { force: true });
    await using folder = await open(dirname(this.#target));
    await folder.sync().catch(() => undefined); // some network volumes cannot
  }

  /** Removes a part file whose bytes are useless. */
  async discard(): Promise<void> {
    await rm(this.path, { force: true });
    await rm(this.#journalPath, { force: true });
  }
}

const partPath = (target: string) => `${target}.part`;
const journalPath = (target: string) => `${target}.part.journal`;

const HeadSchema = z.object({
  total: z.int().positive(),
  etag: z.string().optional(),
  key: z.string(),
  boot: z.string(),
});

/** Undefined if there is none, or it is not readable. A torn last line is ignored. */
async function readJournal(path: string) {
  const text = await readFile(path, 'utf8').catch(() => '');
  const [head = '', ...lines] = text.split('\n').slice(0, -1);
  try {
    const parsed = HeadSchema.parse(JSON.parse(head));
    const ranges = lines.flatMap((line): ByteRange[] => {
      // A line of any other form was torn, and the next one was appended to it.
      const [, start, end] = /^(\d+) (\d+)$/.exec(line) ?? [];
      return Number(end) <= parsed.total ? [{ start: Number(start), end: Number(end) }] : [];
    });
    return { ...parsed, ranges };
  } catch {
    return undefined;
  }
}

/** Changes when the machine starts anew; empty where the system does not tell. */
export async function bootId(): Promise<string> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  return text.trim();
}
