import type { JsonBody } from '../../json-body.ts';
import type { PreviewImage } from '../../queues/job.ts';
import { objectOf, type Piece } from '../server/json-object.ts';

/** What a reader of `/stream` wants beside the values of a streaming handler. */
export interface Wanted {
  readonly progress: boolean;
  readonly previews: boolean;
}

/**
 * What there is to tell about a job while it runs. Each thing is told once: values in their order, of progress and pictures the
 * latest. Values that nobody fetches are kept up to a limit, and then the oldest is dropped.
 */
export class JobStream {
  readonly #values: JsonBody[] = [];
  #bytes = 0;
  #dropped = 0;
  #progress: JsonBody | undefined;
  #preview: PreviewImage | undefined;

  get bytes(): number {
    return this.#bytes + (this.#progress?.bytes ?? 0) + (this.#preview?.bytes.length ?? 0);
  }

  /** Values that nobody came for in time. */
  get dropped(): number {
    return this.#dropped;
  }

  addValue(value: JsonBody): void {
    this.#values.push(value);
    this.#bytes += value.bytes;
    while (this.#bytes > MOST_BYTES && this.#values.length > 1) this.#dropOldest();
  }

  setProgress(value: JsonBody): void {
    this.#progress = value;
  }

  setPreview(image: PreviewImage): void {
    this.#preview = image;
  }

  has(wanted: Wanted): boolean {
    if (this.#values.length > 0) return true;
    return (
      (wanted.progress && this.#progress !== undefined) ||
      (wanted.previews && this.#preview !== undefined)
    );
  }

  /** Elements of `stream`: objects with an `output`. */
  take(wanted: Wanted): Piece[][] {
    const outputs: (readonly Piece[])[] = this.#values.splice(0).map(({ chunks }) => chunks);
    this.#bytes = 0;
    if (wanted.progress && this.#progress) outputs.push(this.#progress.chunks);
    if (wanted.progress) this.#progress = undefined;
    if (wanted.previews && this.#preview) outputs.push(previewText(this.#preview));
    if (wanted.previews) this.#preview = undefined;
    return outputs.map((output) => objectOf({ output }));
  }

  #dropOldest(): void {
    this.#bytes -= this.#values.shift()?.bytes ?? 0;
    this.#dropped++;
  }
}

/** The picture as a data URI, which a page shows as it is. */
function previewText({ bytes, mediaType, nodeId }: PreviewImage): Piece[] {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return objectOf({
    preview: [JSON.stringify(`data:${mediaType};base64,${base64}`)],
    node: nodeId === undefined ? undefined : [JSON.stringify(nodeId)],
  });
}

const MOST_BYTES = 50_000_000;
