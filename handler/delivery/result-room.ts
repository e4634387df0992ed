import { WorkerError } from '../../lib/errors.ts';
import { Base64, measureJson } from '../../lib/json-body.ts';
import type { Artifact, DeliveredFile } from '../outputs/artifact.ts';

/** The room a result has for files, in bytes of JSON. What is in it is counted before a file is read. */
export class ResultRoom {
  readonly maxBytes: number;
  #freeBytes: number;

  /** `besides`: what else the result will hold. */
  constructor(maxBytes: number, artifacts: readonly Artifact[], besides: unknown = []) {
    this.maxBytes = maxBytes;
    const spoken = RESERVED_BYTES + artifacts.length * ITEM_BYTES + measureJson(besides).bytes;
    this.#freeBytes = maxBytes - spoken;
  }

  get freeBytes(): number {
    return Math.max(this.#freeBytes, 0);
  }

  hasRoomFor(artifacts: readonly Artifact[]): boolean {
    return encodedBytes(artifacts) <= this.#freeBytes;
  }

  /** Takes a file in, if there is room; undefined if not. */
  async maybeTake(artifact: Artifact): Promise<DeliveredFile | undefined> {
    if (!this.hasRoomFor([artifact])) return undefined;
    this.#freeBytes -= encodedBytes([artifact]);
    return await inline(artifact);
  }

  /**
   * All files, whatever is reserved: they are all there is.
   * @throws WorkerError `result.too_large` when they cannot fit, without reading them.
   */
  async takeAll(artifacts: readonly Artifact[]): Promise<readonly DeliveredFile[]> {
    const bytes = encodedBytes(artifacts);
    if (bytes > this.maxBytes) throw tooLarge(bytes, this.maxBytes, WHAT_WOULD_HELP);
    return await Promise.all(artifacts.map(inline));
  }

  /** There is no room, and no other place. */
  nowhere(artifacts: readonly Artifact[]): WorkerError {
    return tooLarge(encodedBytes(artifacts), this.maxBytes, NO_OTHER_PLACE);
  }
}

/** Characters of base64. */
export function encodedBytes(artifacts: readonly Artifact[]): number {
  return artifacts.reduce((sum, { content }) => sum + 4 * Math.ceil(content.size / 3), 0);
}

async function inline(artifact: Artifact): Promise<DeliveredFile> {
  const bytes = new Uint8Array(await artifact.content.arrayBuffer());
  return { artifact, type: 'base64', data: new Base64(bytes) };
}

function tooLarge(bytes: number, maxBytes: number, help: string): WorkerError {
  const inBytes = (count: number) => `${count.toLocaleString('en-US')} bytes`;
  return new WorkerError(
    'result.too_large',
    `The result has more than ${inBytes(bytes)} of JSON, and RESULT_MAX_BYTES allows ${inBytes(maxBytes)}; ${help}`,
  );
}

const WHAT_WOULD_HELP =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, name another place for the files in the job (s3Config, output.put, ...), or make smaller files';

const NO_OTHER_PLACE =
  'output.delivery is "auto", but there is no other place for the files either: no bucket (s3Config, or BUCKET_ENDPOINT_URL), nothing in output.put, output.azure, output.huggingFace or output.http, and no volume (OUTPUT_VOLUME_DIR); name one, or make smaller files (output.convert)';

/** For what does not depend on the files: problems, timings. */
const RESERVED_BYTES = 64 * 1024;
/** For what stands beside each: its name, its details, a signed link. */
const ITEM_BYTES = 2048;
