import type { LookupFunction } from 'node:net';
import pLimit from 'p-limit';
import { z } from 'zod';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import { NOT_PUBLIC, publicLookupFor } from '../http/public-address.ts';

/** A file to be stored. */
export interface StoredFile {
  readonly jobId: string;
  /** The node that made the file, if a node did. */
  readonly nodeId?: string;
  /** As ComfyUI named it, without folder. */
  readonly filename: string;
  /** The same, made safe for a path and different from all other files of the job. */
  readonly uniqueName: string;
  /** Position among the files of its job, from 0. */
  readonly index: number;
  /** Read in pieces while it is sent. */
  readonly content: Blob;
  readonly mediaType: string;
}

/** A store that takes single files. */
export interface Storage extends AsyncDisposable {
  /**
   * Stores a file and returns the URL (of a volume: the path) a client can fetch it from. Retries by itself.
   * @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted.
   */
  put(file: StoredFile, signal: AbortSignal): Promise<string>;
}

/** The address of a stored file, as clients get it; or why the file was not stored. */
export type Stored = { readonly address: string } | { readonly problem: string };

/** A store opened for one job. */
export interface Destination extends AsyncDisposable {
  /** For people: `S3`, `Azure`. */
  readonly name: string;
  /** The `type` of the result's items: says how to read `data`. */
  readonly itemType: 's3_url' | 'url' | 'volume_path';
  /**
   * Stores all files. The outcomes are in the order of the files.
   * @throws the signal's reason when it is aborted, and nothing else.
   */
  store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]>;
}

/** Settings of the operator that apply to all stores. */
export interface StoreSettings {
  /** Folder for `output.delivery: "volume"`. */
  readonly volumeFolder: string;
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  /** Seconds that links to private objects are valid. */
  readonly urlExpiresS: number;
}

/** The worker a store is opened on. */
export interface StoreContext extends StoreSettings {
  /** Uploads at the same time. */
  readonly transfers: number;
  /** The bucket of the `BUCKET_*` variables. It outlives the job. */
  readonly workerBucket?: Storage | undefined;
}

/** A kind of store. `stores.ts` has the table of all. */
export interface Store<Schema extends z.ZodType = z.ZodType> {
  readonly name: string;
  /** Settings a job sends for it: in `output.<name>`, those of `s3` in `s3Config`. A volume has none. */
  readonly schema: Schema;
  /** That the store is missing, and how to have it: `no bucket (s3Config, or BUCKET_ENDPOINT_URL)`. */
  readonly hint: string;
  /** For stores that `output.delivery` can demand: why the job fails when the store is missing. */
  readonly whyMissing?: (settings: StoreSettings) => string;
  /**
   * Opens it for a job. Connects to nothing yet. Undefined when neither the job nor the worker has such a store.
   * @throws WorkerError `input.invalid` when the settings cannot be used.
   */
  open(
    settings: z.infer<Schema> | undefined,
    context: StoreContext,
  ): Promise<Destination | undefined>;
}

export const HttpUrlSchema = z.url({ protocol: /^https?$/, error: 'must be an http(s) URL' });
export const HeadersSchema = z.record(z.string(), z.string());

/** Stores files one by one, some at the same time. A file that fails does not hold up the others. */
export async function storeEach(
  files: readonly StoredFile[],
  put: (file: StoredFile) => Promise<string>,
  { transfers, signal }: { readonly transfers: number; readonly signal: AbortSignal },
): Promise<readonly Stored[]> {
  const limit = pLimit(transfers);
  const storeOne = async (file: StoredFile): Promise<Stored> => {
    try {
      return { address: await put(file) };
    } catch (error) {
      return { problem: describeError(error) };
    }
  };
  const stored = await Promise.all(files.map((file) => limit(storeOne, file)));
  signal.throwIfAborted();
  return stored;
}

/** A store of single files as the destination of a job. */
export function toDestination(
  storage: Storage,
  described: Pick<Destination, 'name' | 'itemType'>,
  { transfers }: Pick<StoreContext, 'transfers'>,
): Destination {
  return {
    ...described,
    store: (files, signal) =>
      storeEach(files, (file) => storage.put(file, signal), { transfers, signal }),
    [Symbol.asyncDispose]: () => storage[Symbol.asyncDispose](),
  };
}

/**
 * The `lookup` for a URL a caller sent in `field`; undefined when Node's own may be used.
 * @throws WorkerError `input.invalid` when the URL names a private address.
 */
export function lookupFor(
  url: URL,
  { field, allowPrivate }: { readonly field: string; readonly allowPrivate: readonly string[] },
): LookupFunction | undefined {
  try {
    return publicLookupFor(url, allowPrivate);
  } catch (error) {
    if (errnoOf(error) !== 'EPRIVATE') throw error;
    throw new WorkerError('input.invalid', `${field}: ${url.host} is ${NOT_PUBLIC.upload}`);
  }
}
