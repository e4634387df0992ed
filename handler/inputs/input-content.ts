import { hash } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import type { Credential } from '../../lib/download/credentials.ts';
import type { Downloader } from '../../lib/download/downloader.ts';
import { mediaTypeOf } from '../../lib/media-type.ts';
import { decodeBase64, maybeDeclaredType } from './base64.ts';

/** Where a caller says the bytes of an input are. */
export type InputSource =
  | { readonly kind: 'base64'; readonly text: string }
  | { readonly kind: 'url'; readonly url: string };

/** The bytes of an input: in memory when they came with the job, on disk when they were fetched. */
export interface InputContent {
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly digest: string;
  readonly mediaType: string;
  /** What the server calls it. */
  readonly filename?: string;
  /** A path, or the bytes themselves. */
  readonly at: string | Buffer;
}

/** Made only when it is needed: a copy of what is in memory. */
export async function toBlob({ at }: InputContent): Promise<Blob> {
  return typeof at === 'string' ? await openAsBlob(at) : new Blob([at]);
}

/** `http(s)://` and `s3://`, by which a text is told from base64 or a file name. */
export function isUrl(text: string): boolean {
  return /^(?:https?|s3):\/\//i.test(text);
}

/** @throws RangeError with a text for people. */
export function decodeContent(text: string, name: string): InputContent {
  const bytes = decodeBase64(text);
  return {
    bytes: bytes.length,
    digest: hash('sha256', bytes, 'hex'),
    mediaType: maybeDeclaredType(text) ?? mediaTypeOf(name),
    at: bytes,
  };
}

export interface FetchOptions {
  readonly downloader: Downloader;
  /** Where a file goes. */
  readonly newPath: () => Promise<string>;
  readonly credentials: readonly Credential[];
  readonly signal: AbortSignal;
}

/** Fetches what a job names by URL, each URL once however often it is named. */
export class ContentFetcher {
  readonly #options: FetchOptions;
  readonly #fetched = new Map<string, Promise<InputContent>>();

  constructor(options: FetchOptions) {
    this.#options = options;
  }

  /** @throws WorkerError `input.download_refused` or `input.download_failed` */
  fetch(url: string): Promise<InputContent> {
    const known = this.#fetched.get(url) ?? this.#download(url);
    this.#fetched.set(url, known);
    return known;
  }

  async #download(url: string): Promise<InputContent> {
    const { downloader, newPath, credentials, signal } = this.#options;
    const { path, ...file } = await downloader.download(url, { newPath, credentials, signal });
    return { ...file, at: path };
  }
}
