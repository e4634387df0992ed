/** A file on its way into a store. */
export interface StoredFile {
  readonly jobId: string;
  /** As ComfyUI named it; without folder. */
  readonly filename: string;
  /** Place among the files of its job, from 0. */
  readonly index: number;
  readonly bytes: Uint8Array;
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
