import { openAsBlob } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import pLimit from 'p-limit';
import type { ComfyBackend, Preview } from '../../lib/comfy/backend.ts';
import { describeError, errnoOf, isError } from '../../lib/errors.ts';
import { MemoryFile, type FileContent } from '../../lib/file-content.ts';
import type { JsonText } from '../../lib/json.ts';
import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../../lib/media-type.ts';
import type { JobScope } from '../job-scope.ts';
import type { Artifact, OutputFile } from './artifact.ts';
import { fileKey, outputFilesOf, VIDEO_KEYS, type OutputChoice } from './collect-outputs.ts';

export interface FetchedArtifacts {
  readonly artifacts: readonly Artifact[];
  /** One text per file that could not be fetched, in order. */
  readonly problems: readonly string[];
}

interface FetchOptions {
  readonly comfy: Pick<ComfyBackend, 'fetchFile'>;
  /** Parallel downloads. */
  readonly transfers: number;
  readonly choice?: OutputChoice;
  readonly scope: Pick<JobScope, 'log' | 'newScratchPath'>;
}

/**
 * Fetches the files of one prompt. A file that a node announces is fetched while later nodes still run; {@link fetchAll}
 * waits for those and fetches the others. Disposing aborts all downloads.
 */
export class ArtifactFetcher implements AsyncDisposable {
  readonly #options: FetchOptions;
  readonly #stopped = new AbortController();
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #downloads = new Map<string, Promise<FileContent>>();
  /** The images that nodes sent instead of saving them, in order. */
  readonly sentFiles: OutputFile[] = [];
  #bytesInMemory = 0;

  constructor(options: FetchOptions) {
    this.#options = options;
    this.#limit = pLimit(options.transfers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort();
    await Promise.allSettled(this.#downloads.values());
  }

  /** To be called when a node has made `output`. A file announced twice was written twice, so it is fetched again. */
  announce(nodeId: string, output: JsonText): void {
    const { outputFiles } = outputFilesOf(nodeId, output, this.#options.choice);
    for (const file of outputFiles) void this.#startDownload(file);
  }

  /**
   * To be called with an image that a node sent instead of saving it. It counts as a file of ComfyUI that is fetched
   * already.
   */
  keep({ nodeId, bytes, mediaType }: Required<Preview>): void {
    const { choice, scope } = this.#options;
    if (choice?.isWanted(nodeId) === false) return;
    const number = String(this.sentFiles.length + 1).padStart(5, '0');
    const filename = `websocket_${number}_.${mediaType === 'image/jpeg' ? 'jpg' : 'png'}`;
    const file = { nodeId, key: 'images', filename, subfolder: '', type: 'websocket' };
    this.sentFiles.push(file);
    const inMemory = this.#bytesInMemory < MAX_JOB_BYTES_IN_MEMORY;
    if (inMemory) this.#bytesInMemory += bytes.length;
    const onDisk = async () => {
      const path = await scope.newScratchPath();
      await writeFile(path, bytes);
      return await openAsBlob(path);
    };
    const inBytes = () => new MemoryFile(new Uint8Array(bytes));
    const stayInMemory = (error: unknown) => {
      const reason = describeError(error);
      scope.log.warn({ reason, filename }, 'An image stays in memory: the disk does not take it');
      return inBytes();
    };
    const kept = inMemory ? Promise.resolve(inBytes()) : onDisk().catch(stayInMemory);
    this.#downloads.set(fileKey(file), kept);
  }

  /** All files of `outputFiles`, in order. A file that cannot be fetched is a problem, not an error. */
  async fetchAll(
    outputFiles: readonly OutputFile[],
    signal: AbortSignal,
  ): Promise<FetchedArtifacts> {
    const stop = () => this.#stopped.abort(signal.reason);
    signal.addEventListener('abort', stop);
    const fetchOne = async (file: OutputFile): Promise<Artifact | string> => {
      const { filename } = file;
      try {
        const announced = this.#downloads.get(fileKey(file));
        const content = await (announced?.catch(() => this.#startDownload(file)) ??
          this.#startDownload(file));
        return { ...file, content, mediaType: await mediaTypeOfFile(content, filename) };
      } catch (error) {
        // Clients match on this text.
        const what = VIDEO_KEYS.has(file.key) ? 'video' : 'image';
        return `Failed to fetch ${what} data for ${filename} from /view endpoint. Cause: ${describeError(error)}`;
      }
    };
    const fetched = await Promise.all(outputFiles.map(fetchOne));
    signal.removeEventListener('abort', stop);
    this.#stopped.signal.throwIfAborted();
    return {
      artifacts: fetched.filter((one) => typeof one !== 'string'),
      problems: fetched.filter((one) => typeof one === 'string'),
    };
  }

  #startDownload(file: OutputFile): Promise<FileContent> {
    const { comfy, scope } = this.#options;
    const download = this.#limit(async () => {
      const memoryBytes =
        this.#bytesInMemory < MAX_JOB_BYTES_IN_MEMORY ? MAX_FILE_BYTES_IN_MEMORY : 0;
      const { newScratchPath: newPath } = scope;
      const fetching = { signal: this.#stopped.signal, newPath, memoryBytes };
      const content = await comfy.fetchFile(file, fetching).catch((error: unknown) => {
        if (!isDiskFull(error)) throw error;
        scope.log.warn({ filename: file.filename }, 'The disk is full; the file goes to memory');
        return comfy.fetchFile(file, { ...fetching, memoryBytes: MAX_BYTES_WITHOUT_DISK });
      });
      if (content.size <= memoryBytes) this.#bytesInMemory += content.size;
      return content;
    });
    // fetchAll awaits the download and tries once more; until then a failure must not be an unhandled rejection.
    download.catch((error: unknown) =>
      scope.log.debug({ err: error, filename: file.filename }, 'A file could not be fetched'),
    );
    this.#downloads.set(fileKey(file), download);
    return download;
  }
}

/** Larger files go to the scratch folder. */
const MAX_FILE_BYTES_IN_MEMORY = 8 * 1024 * 1024;
/** The largest file that goes to memory when the disk is full. */
const MAX_BYTES_WITHOUT_DISK = 256 * 1024 * 1024;
/** When a job holds this much in memory, all further files go to the scratch folder. */
const MAX_JOB_BYTES_IN_MEMORY = 64 * 1024 * 1024;

function isDiskFull(error: unknown): boolean {
  const causes = [error, isError(error) ? error.cause : undefined];
  return causes.some((one) => ['ENOSPC', 'EDQUOT', 'EROFS'].includes(errnoOf(one) ?? ''));
}

/**
 * The media type of a file. The bytes decide when they are an image, a video or a sound. Otherwise the name decides, and
 * when that says nothing either, whatever the bytes are.
 */
export async function mediaTypeOfFile(content: FileContent, filename: string): Promise<string> {
  const head = await content.slice(0, HEAD_BYTES).bytes();
  const found = await maybeMediaTypeOf(head);
  if (found !== undefined && /^(?:image|video|audio)\//.test(found)) return found;
  const named = mediaTypeOf(filename);
  return named === UNKNOWN ? (found ?? UNKNOWN) : named;
}

const UNKNOWN = 'application/octet-stream';
