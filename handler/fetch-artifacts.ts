import pLimit from 'p-limit';
import type { Comfy } from '../lib/comfy/comfy.ts';
import { describeError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import { mediaTypeOf } from '../lib/media-type.ts';
import { recordsOf, type OutputRecord } from './collect-outputs.ts';

/** The bytes of one output, ready to deliver. */
export interface Artifact extends OutputRecord {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

export interface Fetched {
  readonly artifacts: readonly Artifact[];
  readonly problems: readonly string[];
}

export interface FetchParts {
  readonly comfy: Pick<Comfy, 'fetchFile'>;
  readonly transfers: number;
  readonly log: Logger;
}

/**
 * Fetches the files of one prompt. Those a node announces are fetched while later nodes still run; {@link collect} waits for
 * the ones that count and fetches what nobody announced.
 */
export class ArtifactFetcher {
  readonly #parts: FetchParts;
  readonly #signal: AbortSignal;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #files = new Map<string, Promise<Uint8Array>>();

  constructor(parts: FetchParts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
    this.#limit = pLimit(parts.transfers);
  }

  /** A node has made `output`. A file announced twice has been written twice, and is fetched again. */
  announce(nodeId: string, output: JsonText): void {
    for (const record of recordsOf(nodeId, output).records) void this.#start(record);
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
      const announced = this.#files.get(keyOf(record));
      const bytes = await (announced?.catch(() => this.#start(record)) ?? this.#start(record));
      return {
        ...record,
        bytes,
        mediaType: mediaTypeOf(record.filename),
      };
    } catch (error) {
      return `${failed} Cause: ${describeError(error)}`;
    }
  }

  #start(record: OutputRecord): Promise<Uint8Array> {
    const file = this.#limit(() => this.#parts.comfy.fetchFile(record, this.#signal));
    // Awaited in collect, and tried once more there; until then a failure must not end the process.
    file.catch((error: unknown) =>
      this.#parts.log.debug(
        { err: error, filename: record.filename },
        'A file could not be fetched',
      ),
    );
    this.#files.set(keyOf(record), file);
    return file;
  }
}

function keyOf({ type, subfolder, filename }: OutputRecord): string {
  return JSON.stringify([type, subfolder, filename]);
}
