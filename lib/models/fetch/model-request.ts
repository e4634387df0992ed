import { stat } from 'node:fs/promises';
import { sha256OfFile } from './prefix-hash.ts';

/** A model to have on this machine. */
export interface ModelRequest {
  readonly url: string;
  /** The file it shall be. */
  readonly path: string;
  /** Commit, branch or tag at Hugging Face; wins over the one in the URL. */
  readonly revision?: string | undefined;
  /** In hex. */
  readonly sha256?: string | undefined;
  /** Bytes. */
  readonly size?: number | undefined;
}

/** A model that is here. */
export interface FetchedModel {
  readonly path: string;
  readonly bytes: number;
  /** In hex; undefined if the file was here already. */
  readonly sha256: string | undefined;
  /** The commit at Hugging Face, if it was asked. */
  readonly revision: string | undefined;
  /** The file was here already. */
  readonly wasHere: boolean;
}

/** Requests with the same key are for the same bytes. Signatures in a URL are not a part of it. */
export function contentKey({ url, revision = '', sha256 }: ModelRequest): string {
  if (sha256 !== undefined) return sha256;
  const parsed = URL.parse(url);
  if (!parsed) return url;
  parsed.hash = parsed.username = parsed.password = '';
  for (const name of [...parsed.searchParams.keys()])
    if (SIGNATURE.test(name)) parsed.searchParams.delete(name);
  return `${parsed.href} ${revision}`;
}

/** Presigned URLs of S3 and CloudFront, SAS tokens of Azure, API keys. */
const SIGNATURE =
  /^(?:x-amz-.*|x-goog-.*|signature|expires|key-pair-id|policy|sig|s[evrtpi]|skoid|sktid|sk[tes]|skv|token)$/i;

/** The model, if it is here. A file without a known size has to have the right SHA-256. */
export async function maybePresent(model: ModelRequest): Promise<FetchedModel | undefined> {
  const { path, size, sha256 } = model;
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return undefined;
  const here = { path, bytes: found.size, revision: undefined, wasHere: true };
  if (size !== undefined) return size === found.size ? { ...here, sha256 } : undefined;
  if (sha256 === undefined) return { ...here, sha256 };
  return (await sha256OfFile(path, found.size)) === sha256 ? { ...here, sha256 } : undefined;
}
