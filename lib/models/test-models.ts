import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CredentialsSchema } from '../download/credentials.ts';
import { isError, WorkerError } from '../errors.ts';
import { ModelFetcher, type FetcherSettings } from './fetch/model-fetcher.ts';
import type { FetchedModel, ModelRequest } from './fetch/model-request.ts';

/** Parts for tests of downloads. */

export const never = new AbortController().signal;

/** A valid safetensors file with one tensor of `bytes` bytes, each different from its neighbours. */
export function safetensors(bytes: number, seed = 1): Buffer {
  const header = Buffer.from(
    JSON.stringify({ weight: { dtype: 'U8', shape: [bytes], data_offsets: [0, bytes] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const data = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; at++) data[at] = (at * 31 + (at >> 8) * 7 + seed) & 255;
  return Buffer.concat([length, header, data]);
}

interface FetchRigOptions extends Partial<Omit<FetcherSettings, 'sites'>> {
  readonly huggingFaceUrl?: string;
  readonly civitaiUrl?: string;
  readonly credentials?: unknown;
}

/** A folder, and a fetcher that writes into it. */
export async function startFetchRig({
  huggingFaceUrl = 'https://huggingface.invalid',
  civitaiUrl = 'https://civitai.invalid',
  credentials = [],
  ...settings
}: FetchRigOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'models-'));
  const fetcher = new ModelFetcher({
    sites: { huggingFaceUrl, civitaiUrl, credentials: CredentialsSchema.parse(credentials) },
    connections: 4,
    idleTimeoutMs: 5000,
    retryPolicy: { retries: 3, firstMs: 1, maxMs: 5, jitter: false },
    allowPrivate: undefined,
    ...settings,
  });
  const fetch = (
    url: string,
    {
      name = 'model.safetensors',
      ...rest
    }: Partial<ModelRequest> & { readonly name?: string } = {},
    signal = never,
  ): Promise<FetchedModel> => fetcher.fetch({ url, path: join(folder, name), ...rest }, { signal });
  return {
    folder,
    fetcher,
    fetch,
    files: async () => (await readdir(folder)).sort(),
    /** The error of a download. */
    failure: async (...args: Parameters<typeof fetch>): Promise<WorkerError> => {
      const error: unknown = await fetch(...args).catch((reason: unknown) => reason);
      if (error instanceof WorkerError) return error;
      throw isError(error) ? error : new Error('The download did not fail');
    },
    [Symbol.asyncDispose]: async () => {
      await fetcher[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
