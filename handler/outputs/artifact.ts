import type { ComfyFile } from '../../lib/comfy/backend.ts';
import type { FileContent } from '../../lib/file-content.ts';
import type { Base64 } from '../../lib/json-body.ts';

/** ComfyUI's record that a node made a file. */
export interface OutputFile extends ComfyFile {
  readonly nodeId: string;
  /** The key in the node's output: `images`, `gifs`, `audio`, `3d`, ... */
  readonly key: string;
}

/** The bytes of one output: small ones in memory, large ones in the job's scratch folder. */
export interface Artifact extends OutputFile {
  readonly mediaType: string;
  /** Not readable any more when the scratch folder has been removed. */
  readonly content: FileContent;
}

/** An artifact as it goes into the result. */
export interface DeliveredFile {
  readonly artifact: Artifact;
  /** How to read `data`: `base64`, `s3_url`, or another type of `docs/job-api.md`. */
  readonly type: string;
  readonly data: string | Base64;
}
