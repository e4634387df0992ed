import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { BlockBlobClient, ContainerClient, StoragePipelineOptions } from '@azure/storage-blob';
import { describeError, errnoOf, isError, WorkerError } from '../errors.ts';
import { NOT_PUBLIC, publicLookupFor } from '../http/public-address.ts';
import { redactUrl } from '../http/redact.ts';
import { withoutVariables } from './key.ts';
import type { Storage, StoredFile } from './storage.ts';

export interface AzureSettings {
  /** Of the container, with a SAS unless there is a key. */
  readonly url: string;
  readonly accountKey?: string | undefined;
  /** Folder for the files; the job's id when absent. */
  readonly prefix?: string | undefined;
}

export interface AzureOptions {
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  /** How long links are valid; only an account key can make them. */
  readonly urlExpiresS: number;
  readonly retryDelayMs?: number;
  readonly silenceMs?: number;
}

/**
 * A container of Azure Blob Storage. Nothing is connected yet.
 * @throws WorkerError `input.invalid` when it is not on the public internet, or names no container.
 */
export async function openAzureBlobs(
  settings: AzureSettings,
  options: AzureOptions,
): Promise<Storage> {
  const url = new URL(settings.url);
  const agent = agentFor(url, options);
  const { AnonymousCredential, ContainerClient, newPipeline, StorageSharedKeyCredential } =
    await import('@azure/storage-blob');
  const credential =
    settings.accountKey === undefined
      ? new AnonymousCredential()
      : new StorageSharedKeyCredential(accountOf(url), settings.accountKey);
  const pipeline = newPipeline(credential, pipelineOptions(agent, options));
  const container = new ContainerClient(url.href, pipeline);
  return new AzureBlobs(container, { settings, options, agent });
}

interface AzureParts {
  readonly settings: AzureSettings;
  readonly options: AzureOptions;
  readonly agent: Agent;
}

class AzureBlobs implements Storage {
  readonly #container: ContainerClient;
  readonly #parts: AzureParts;

  constructor(container: ContainerClient, parts: AzureParts) {
    this.#container = container;
    this.#parts = parts;
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { prefix = file.jobId } = this.#parts.settings;
    const folder = withoutVariables(prefix).replace(/^\/+|\/+$/g, '');
    const name = folder === '' ? file.uniqueName : `${folder}/${file.uniqueName}`;
    const blob = this.#container.getBlockBlobClient(name);
    try {
      await upload(blob, file, signal);
      return await this.#linkTo(blob);
    } catch (error) {
      signal.throwIfAborted();
      throw uploadFailed(error, new URL(blob.url));
    }
  }

  /** One that can be read for a while where there is a key; a SAS is the caller's, who can add it again. */
  async #linkTo(blob: BlockBlobClient): Promise<string> {
    const { settings, options } = this.#parts;
    if (settings.accountKey === undefined) return redactUrl(new URL(blob.url));
    const { BlobSASPermissions } = await import('@azure/storage-blob');
    return await blob.generateSasUrl({
      permissions: BlobSASPermissions.from({ read: true }),
      expiresOn: new Date(Date.now() + options.urlExpiresS * 1000),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#parts.agent.destroy();
    return Promise.resolve();
  }
}

/** Whole when small, else in blocks that are read from the disk as they leave. The library's own way knows no signal. */
async function upload(blob: BlockBlobClient, file: StoredFile, signal: AbortSignal): Promise<void> {
  const { content, mediaType } = file;
  const blobHTTPHeaders = { blobContentType: mediaType };
  if (content.size <= BLOCK_BYTES) {
    const bytes = await content.arrayBuffer();
    await blob.upload(bytes, bytes.byteLength, { blobHTTPHeaders, abortSignal: signal });
    return;
  }
  const blockIds: string[] = [];
  const blockBytes = Math.max(BLOCK_BYTES, Math.ceil(content.size / MOST_BLOCKS));
  for (let from = 0; from < content.size; from += blockBytes) {
    const blockId = Buffer.from(String(blockIds.length).padStart(6, '0')).toString('base64');
    const bytes = await content.slice(from, from + blockBytes).arrayBuffer();
    await blob.stageBlock(blockId, bytes, bytes.byteLength, { abortSignal: signal });
    blockIds.push(blockId);
  }
  await blob.commitBlockList(blockIds, { blobHTTPHeaders, abortSignal: signal });
}

function pipelineOptions(
  agent: Agent,
  { retryDelayMs = 500, silenceMs = 60_000 }: AzureOptions,
): StoragePipelineOptions {
  const retryOptions = { maxTries: 4, retryDelayInMs: retryDelayMs, tryTimeoutInMs: silenceMs };
  // The agent is handed through to the requests, though the type does not say so.
  return { retryOptions, ...({ agent } as object) };
}

function agentFor(url: URL, { allowPrivate }: AzureOptions): Agent {
  try {
    const lookup = publicLookupFor(url, allowPrivate);
    const options = { keepAlive: true, ...(lookup ? { lookup } : {}) };
    return url.protocol === 'https:' ? new SecureAgent(options) : new Agent(options);
  } catch (error) {
    if (errnoOf(error) !== 'EPRIVATE') throw error;
    throw new WorkerError(
      'input.invalid',
      `input.output.azure.url: ${url.host} is ${NOT_PUBLIC.upload}`,
    );
  }
}

/** The first label of the host; where that is an address or has one label only, the first step of the path. */
function accountOf({ hostname, pathname }: URL): string {
  const isNamed = /\.[a-z]/i.test(hostname);
  return (isNamed ? hostname.split('.')[0] : pathname.split('/')[1]) ?? '';
}

function uploadFailed(error: unknown, url: URL): WorkerError {
  return new WorkerError('storage.upload_failed', `[PUT] ${redactUrl(url)}: ${reasonOf(error)}`);
}

/** Azure repeats what was signed in its answers; only the code is passed on. */
function reasonOf(error: unknown): string {
  if (errnoOf(error) === 'EPRIVATE') return `the host is ${NOT_PUBLIC.upload}`;
  if (!isError(error) || !('statusCode' in error) || typeof error.statusCode !== 'number')
    return `the connection failed (${errnoOf(error) ?? describeError(error)})`;
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? `${error.statusCode} (${code})` : String(error.statusCode);
}

const BLOCK_BYTES = 8 * 1024 * 1024;
const MOST_BLOCKS = 50_000;
