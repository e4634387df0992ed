import type { Base64 } from '../../lib/json-body.ts';

/** ComfyUI's record that a node made a file; filename, subfolder and type name it in `/view`. */
export interface OutputRecord {
  readonly nodeId: string;
  /** Under which the node shows it: `images`, `gifs`, `audio`, `3d`, ... */
  readonly key: string;
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** The bytes of one output: in memory when small, in the job's folder when not. */
export interface Artifact extends OutputRecord {
  /** By what the bytes say first, and the name after that. */
  readonly mediaType: string;
  /** Gone when the job's folder is removed. */
  readonly content: Blob;
}

/** An artifact on its way to the client. */
export interface DeliveredFile {
  readonly artifact: Artifact;
  /** How `data` is to be read: `base64`, `s3_url`, or another that `docs/job-api.md` names. */
  readonly type: string;
  readonly data: string | Base64;
}
