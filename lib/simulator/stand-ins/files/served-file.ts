import type { Content } from './content.ts';

/** What the server has at a path. */
export type Served = ServedFile | { readonly redirect: Redirect };

export interface Redirect {
  /** A path of this server, or a URL anywhere. */
  readonly to: string;
  /** 302 unless told otherwise. */
  readonly status?: 301 | 302 | 303 | 307 | 308;
}

export interface ServedFile {
  readonly content: Content;
  /** `application/octet-stream` unless told otherwise; not checked against the content. */
  readonly mediaType?: string;
  /** False: every request gets the whole file with 200. */
  readonly ranges?: boolean;
  /** `changing`: another one for each request, so that nothing can be resumed. */
  readonly etag?: 'stable' | 'changing' | 'none';
  /** The length is not told. */
  readonly chunked?: true;
  /** Compressed whenever the client says it can read that; then without length and ranges. */
  readonly gzip?: true;
  readonly needs?: Credentials;
  /** What every request for it meets, after those of `failNext`. */
  readonly fault?: FileFault;
}

export type Credentials =
  | { readonly kind: 'bearer'; readonly token: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  | { readonly kind: 'header'; readonly name: string; readonly value: string }
  | { readonly kind: 'query'; readonly name: string; readonly value: string };

export type FileFault =
  /** The request is read and never answered. */
  | { readonly kind: 'hang' }
  /** The answer begins, and stops without an end. */
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** The connection is reset in the middle. */
  | { readonly kind: 'drop'; readonly afterBytes: number }
  /** `Content-Length` says this; what is sent is the file, and then the connection ends. */
  | { readonly kind: 'claim'; readonly bytes: number }
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
    };
