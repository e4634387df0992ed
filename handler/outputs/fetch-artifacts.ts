import pLimit from 'p-limit';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import { describeError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import type { Logger } from '../../lib/log.ts';
import type { Artifact, OutputRecord } from './artifact.ts';
import { ALL_SAVED, type OutputChoice } from './output-choice.ts';
import { mediaTypeOfFile } from './output-media.ts';
import { placeOf, recordsOf } from './output-records.ts';

export interface Fetched {
  readonly artifacts: readonly Artifact[];
  readonly problems: readonly string[];
}

export interface FetchParts {
  readonly comfy: Pick<ComfyBackend, 'fetchFile'>;
  readonly transfers: number;
  readonly log: Logger;
  /** Where a file goes that is not held in memory. */
  readonly newPath: () => Promise<string>;
  readonly choice?: OutputChoice;
}

/**
 * Fetches the files of one prompt. Those a node announces are fetched while later nodes still run; {@link collect} waits for
 * the ones that count and fetches what nobody announced. Disposed, it ends what is still on its way.
 */
export class ArtifactFetcher implements AsyncDisposable {
  readonly #parts: FetchParts;
  readonly #choice: OutputChoice;
  readonly #ended = new AbortController();
  readonly #signal: AbortSignal;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #files = new Map<string, Promise<Blob>>();
  #heldBytes = 0;

  constructor(parts: FetchParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#choice = parts.choice ?? ALL_SAVED;
    this.#signal = AbortSignal.any([signal, this.#ended.signal]);
    this.#limit = pLimit(parts.transfers);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended.abort();
    await Promise.allSettled(this.#files.values());
  }

  /** A node has made `output`. A file announced twice has been written twice, and is fetched again. */
  announce(nodeId: string, output: JsonText): void {
    for (const record of recordsOf(nodeId, output, this.#choice).records) void this.#start(record);
  }

  /** All files of `records`, in their order; a file that cannot be had is a problem, not an end. */
  async collect(records: readonly OutputRecord[]): Promise<Fetched> {
    const fetched = await Promise.all(records.map((record) => this.#collectOne(record)));
    this.#signal.throwIfAborted();
    return {
      artifacts: fetched.filter((one) => typeof one !== 'string'),
      problems: fetched.filter((one) => typeof one === 'string'),
    };
  }

  async #collectOne(record: OutputRecord): Promise<Artifact | string> {
    const failed = `Failed to fetch image data for ${record.filename} from /view endpoint.`;
    try {
      const announced = this.#files.get(placeOf(record));
      const content = await (announced?.catch(() => this.#start(record)) ?? this.#start(record));
      return { ...record, content, mediaType: await mediaTypeOfFile(content, record.filename) };
    } catch (error) {
      return `${failed} Cause: ${describeError(error)}`;
    }
  }

  #start(record: OutputRecord): Promise<Blob> {
    const file = this.#limit(() => this.#fetch(record));
    // Awaited in collect, and tried once more there; until then a failure must not end the process.
    file.catch((error: unknown) =>
      this.#parts.log.debug(
        { err: error, filename: record.filename },
        'A file could not be fetched',
      ),
    );
    this.#files.set(placeOf(record), file);
    return file;
  }

  async #fetch(record: OutputRecord): Promise<Blob> {
    const memoryBytes = this.#heldBytes < JOB_MEMORY_BYTES ? FILE_MEMORY_BYTES : 0;
    const { comfy, newPath } = this.#parts;
    const content = await comfy.fetchFile(record, { signal: this.#signal, newPath, memoryBytes });
    if (content.size <= memoryBytes) this.#heldBytes += content.size;
    return content;
  }
}

/** The largest file held in memory, and how much a job holds before everything goes to the disk. */
const FILE_MEMORY_BYTES = 8 * 1024 * 1024;
const JOB_MEMORY_BYTES = 64 * 1024 * 1024;
