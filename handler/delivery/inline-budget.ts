import { WorkerError } from '../../lib/errors.ts';
import { Base64, measureJson } from '../../lib/json-body.ts';
import { STORES } from '../../lib/storage/stores.ts';
import type { Artifact, DeliveredFile } from '../outputs/artifact.ts';

/** The bytes of JSON a result has left for files. A file is counted before it is read. */
export class InlineBudget {
  readonly maxBytes: number;
  #freeBytes: number;

  /** @param besides what else the result will contain. */
  constructor(maxBytes: number, artifacts: readonly Artifact[], besides: unknown = []) {
    this.maxBytes = maxBytes;
    const reserved = RESERVED_BYTES + artifacts.length * ITEM_BYTES + measureJson(besides).bytes;
    this.#freeBytes = maxBytes - reserved;
  }

  get freeBytes(): number {
    return Math.max(this.#freeBytes, 0);
  }

  fits(artifacts: readonly Artifact[]): boolean {
    return base64Bytes(artifacts) <= this.#freeBytes;
  }

  /** Reads a file into the result; undefined if it does not fit. */
  async maybeTake(artifact: Artifact): Promise<DeliveredFile | undefined> {
    if (!this.fits([artifact])) return undefined;
    this.#freeBytes -= base64Bytes([artifact]);
    return await toInline(artifact);
  }

  /**
   * Reads all files into the result. The reserve does not count, because there is no store to use instead.
   * @throws WorkerError `result.too_large` when they cannot fit, before any is read.
   */
  async takeAll(artifacts: readonly Artifact[]): Promise<readonly DeliveredFile[]> {
    if (base64Bytes(artifacts) > this.maxBytes) throw this.tooLarge(artifacts, USE_A_STORE);
    return await Promise.all(artifacts.map(toInline));
  }

  /** The error for files that do not fit. @param advice ends its message. */
  tooLarge(artifacts: readonly Artifact[], advice: string): WorkerError {
    const inBytes = (count: number) => `${count.toLocaleString('en-US')} bytes`;
    return new WorkerError(
      'result.too_large',
      `The result has more than ${inBytes(base64Bytes(artifacts))} of JSON, and RESULT_MAX_BYTES allows ${inBytes(this.maxBytes)}; ${advice}`,
    );
  }
}

/** Characters of base64. */
export function base64Bytes(artifacts: readonly Artifact[]): number {
  return artifacts.reduce((sum, { content }) => sum + 4 * Math.ceil(content.size / 3), 0);
}

async function toInline(artifact: Artifact): Promise<DeliveredFile> {
  const bytes = new Uint8Array(await artifact.content.arrayBuffer());
  return { artifact, type: 'base64', data: new Base64(bytes) };
}

const USE_A_STORE =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, name another place for the files in the job (s3Config, output.put, ...), or make smaller files';

/** Advice when `output.delivery` is `auto` and no store is there. */
export const NO_STORE = `output.delivery is "auto", but there is no other place for the files either: ${STORES.map(({ hint }) => hint).join(', ')}; name one, or make smaller files (output.convert)`;

/** For problems, timings and everything else that does not depend on the files. */
const RESERVED_BYTES = 64 * 1024;
/** For one file's name, details and link. */
const ITEM_BYTES = 2048;
