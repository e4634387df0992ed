import type { JsonBody } from '../../json-body.ts';
import type { PreviewImage } from '../../queues/queue.ts';
import { objectOf, type Piece } from '../server/json-object.ts';

/** Kinds of news that a reader of `/stream` asks for. */
export interface Wanted {
  readonly progress: boolean;
  readonly previews: boolean;
}

/** The latest progress and the latest preview of a running job. Each is handed out once. */
export class JobStream {
  #progress: JsonBody | undefined;
  #preview: PreviewImage | undefined;

  get bytes(): number {
    return (this.#progress?.bytes ?? 0) + (this.#preview?.bytes.length ?? 0);
  }

  setProgress(value: JsonBody): void {
    this.#progress = value;
  }

  setPreview(image: PreviewImage): void {
    this.#preview = image;
  }

  has(wanted: Wanted): boolean {
    return (
      (wanted.progress && this.#progress !== undefined) ||
      (wanted.previews && this.#preview !== undefined)
    );
  }

  /** Elements of `stream`: objects with an `output`. */
  take(wanted: Wanted): Piece[][] {
    const outputs: (readonly Piece[])[] = [];
    if (wanted.progress && this.#progress) outputs.push(this.#progress.chunks);
    if (wanted.progress) this.#progress = undefined;
    if (wanted.previews && this.#preview) outputs.push(previewText(this.#preview));
    if (wanted.previews) this.#preview = undefined;
    return outputs.map((output) => objectOf({ output }));
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
