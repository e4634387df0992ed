import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

/** The beginning of a file, which grows with every try. */
export class PartialFile implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  #hash: Hash = createHash('sha256');
  #bytes = 0;
  #version: string | undefined;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Makes the file; there must be none of that name. */
  static async create(path: string): Promise<PartialFile> {
    return new PartialFile(path, await open(path, 'ax', 0o600));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** By which the server knows what these are the first bytes of; without one nothing can be added to them later. */
  get version(): string | undefined {
    return this.#version;
  }

  /** SHA-256 of what is there, in hex. To be asked for once, at the end. */
  digest(): string {
    return this.#hash.digest('hex');
  }

  /** Forgets what is there: the next bytes are the first ones, of this version. */
  async restart(version: string | undefined): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash('sha256');
    this.#bytes = 0;
    this.#version = version;
  }

  async append(chunk: Uint8Array): Promise<void> {
    await this.#file.appendFile(chunk);
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }
}
