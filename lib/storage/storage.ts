/** A file on its way into a store. */
export interface StoredFile {
  readonly jobId: string;
  /** The node that made it, where one did. */
  readonly nodeId?: string;
  /** As ComfyUI named it; without folder. */
  readonly filename: string;
  /** The same, fit for a path, and of no other file of the job. */
  readonly uniqueName: string;
  /** Place among the files of its job, from 0. */
  readonly index: number;
  /** Read while it is sent, a piece at a time. */
  readonly content: Blob;
  readonly mediaType: string;
}

/** Somewhere files can be put for clients to fetch. */
export interface Storage extends AsyncDisposable {
  /**
   * Stores a file and returns the URL a client can fetch it from. Tries again by itself where that may help.
   * @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted.
   */
  put(file: StoredFile, signal: AbortSignal): Promise<string>;
}

/** Where a file is, as clients are told; or why it is not there. */
export type Stored = { readonly address: string } | { readonly problem: string };

/** Somewhere the files of a job go together. */
export interface Destination extends AsyncDisposable {
  /** For people: `S3`, `Azure`. */
  readonly name: string;
  /** How addresses are to be read: the `type` of a result's items. */
  readonly itemType: 's3_url' | 'url' | 'volume_path';
  /**
   * Stores every file, or says why not, in their order.
   * @throws the signal's reason when it is aborted, and nothing else.
   */
  store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]>;
}
