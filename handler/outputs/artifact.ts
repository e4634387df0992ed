import type { ComfyFile } from '../../lib/comfy/backend.ts';
import type { Base64 } from '../../lib/json-body.ts';
import { HEAD_BYTES, maybeMediaTypeOf, mediaTypeOf } from '../../lib/media-type.ts';

/** ComfyUI's record that a node made a file. */
export interface OutputRecord extends ComfyFile {
  readonly nodeId: string;
  /** The key in the node's output: `images`, `gifs`, `audio`, `3d`, ... */
  readonly key: string;
}

/** The bytes of one output: small ones in memory, large ones in the job's scratch folder. */
export interface Artifact extends OutputRecord {
  readonly mediaType: string;
  /** Not readable any more when the scratch folder has been removed. */
  readonly content: Blob;
}

/** An artifact as it goes into the result. */
export interface DeliveredFile {
  readonly artifact: Artifact;
  /** How to read `data`: `base64`, `s3_url`, or another type of `docs/job-api.md`. */
  readonly type: string;
  readonly data: string | Base64;
}

/** A text that identifies a file within ComfyUI. */
export function fileKey({ type, subfolder, filename }: ComfyFile): string {
  return JSON.stringify([type, subfolder, filename]);
}

/**
 * The media type of a file. The bytes decide when they are an image, a video or a sound. Otherwise the name decides, and
 * when that says nothing either, whatever the bytes are.
 */
export async function mediaTypeOfFile(content: Blob, filename: string): Promise<string> {
  const head = new Uint8Array(await content.slice(0, HEAD_BYTES).arrayBuffer());
  const found = await maybeMediaTypeOf(head);
  if (found !== undefined && /^(?:image|video|audio)\//.test(found)) return found;
  const named = mediaTypeOf(filename);
  return named === UNKNOWN ? (found ?? UNKNOWN) : named;
}

const UNKNOWN = 'application/octet-stream';
