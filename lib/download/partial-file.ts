import { createHash, type Hash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { isWorkerError } from '../errors.ts';
import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../media-type.ts';
import { decodeLeniently } from './credentials.ts';
import { disconnected, failed, refused } from './download-error.ts';
import type { FilePart } from './open-http.ts';

/** A downloaded file. It belongs to the caller, who removes it. */
export interface DownloadedFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly digest: string;
  /** Recognised from the content, else as the server says, else from the file name. */
  readonly mediaType: string;
  /** The name the server suggests, or the last part of the URL. Never with a folder. */
  readonly filename: string;
}

/** The beginning of a file on disk. It grows with every attempt. */
export class PartialFile implements AsyncDisposable {
  readonly path: string;
  readonly #file: FileHandle;
  #hash: Hash = createHash('sha256');
  #bytes = 0;
  #etag: string | undefined;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  /** Creates the file. No file of that name may exist. */
  static async create(path: string): Promise<PartialFile> {
    return new PartialFile(path, await open(path, 'ax', 0o600));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** ETag of the file whose first bytes these are; sent as If-Range to resume. Undefined: the download cannot be resumed. */
  get etag(): string | undefined {
    return this.#etag;
  }

  /**
   * Appends the bytes that a server sends.
   * @throws WorkerError unless the file is complete afterwards. The bytes received so far stay, and the next attempt resumes.
   */
  async receive(
    part: FilePart,
    {
      url,
      maxBytes,
      signal,
    }: { readonly url: URL; readonly maxBytes: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const tooLarge = (size: string) =>
      refused(
        url,
        `the file has ${size}, and at most ${maxBytes} bytes are fetched (DOWNLOAD_MAX_BYTES)`,
      );
    try {
      await this.#align(part, url);
      if ((part.total ?? 0) > maxBytes) throw tooLarge(`${part.total ?? ''} bytes`);
      for await (const chunk of part.body as AsyncIterable<Uint8Array>) {
        if (this.#bytes + chunk.length > maxBytes) throw tooLarge('more');
        await this.#file.appendFile(chunk);
        this.#hash.update(chunk);
        this.#bytes += chunk.length;
      }
    } catch (error) {
      part.body.on('error', () => undefined).destroy();
      if (signal.aborted) throw signal.reason;
      if (isWorkerError(error)) throw error;
      const total = part.total === undefined ? '' : ` of ${part.total}`;
      throw disconnected(url, error, ` after ${this.#bytes}${total} bytes`);
    }
    if (this.#bytes === 0) throw refused(url, 'the file is empty');
    if (part.total !== undefined && this.#bytes !== part.total)
      throw failed(url, `the server said ${part.total} bytes, and sent ${this.#bytes}`);
  }

  /** Checks that the part continues the bytes that are here. If the file has changed on the server, they are useless. */
  async #align({ offset, etag }: FilePart, url: URL): Promise<void> {
    const isSameFile = etag === undefined || etag === this.#etag;
    if (offset > 0 && offset === this.#bytes && isSameFile) return;
    await this.#restart(offset === 0 ? etag : undefined);
    if (offset === 0) return;
    throw failed(url, 'the server did not send the part that was asked for');
  }

  /** Removes all bytes. The next ones are the first of the file with this ETag. */
  async #restart(etag: string | undefined): Promise<void> {
    await this.#file.truncate(0);
    this.#hash = createHash('sha256');
    this.#bytes = 0;
    this.#etag = etag;
  }

  /** Describes the complete file. To be called once. `part` is the last one received. */
  async describe(part: FilePart, url: URL): Promise<DownloadedFile> {
    const filename =
      decodeLeniently(part.filename ?? url.pathname)
        .split(/[/\\]/)
        .at(-1) ?? '';
    await using file = await open(this.path);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    const recognised = await maybeMediaTypeOf(buffer.subarray(0, bytesRead));
    const declared = UNSPECIFIC.has(part.mediaType ?? '') ? undefined : part.mediaType;
    const mediaType = recognised ?? declared ?? mediaTypeOf(filename);
    const digest = this.#hash.digest('hex');
    return { path: this.path, bytes: this.#bytes, digest, mediaType, filename };
  }
}

/** Media types that servers send if they do not know the type. */
const UNSPECIFIC = new Set(['application/octet-stream', 'binary/octet-stream']);
