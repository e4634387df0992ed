import { Agent } from 'node:http';
import { Agent as SecureAgent } from 'node:https';
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { z } from 'zod';
import { systemClock, type Clock } from '../clock.ts';
import { isError, WorkerError } from '../errors.ts';
import { limitAnswers, SHORT_ANSWER } from '../http/answer-limit.ts';
import { under } from '../http/base-url.ts';
import { connectionFailure } from '../http/failure.ts';
import { redactUrl } from '../http/redact.ts';
import { RETRY_POLICIES } from '../http/retry.ts';
import { USER_AGENT } from '../version.ts';
import { withoutVariables } from './key.ts';
import {
  HttpUrlSchema,
  lookupFor,
  toDestination,
  type Storage,
  type Store,
  type StoreContext,
  type StoredFile,
} from './storage.ts';

const AzureSchema = z.strictObject({
  /** `https://<account>.blob.core.windows.net/<container>`, with a SAS unless there is a key. */
  url: HttpUrlSchema,
  accountKey: z.string().min(1).optional(),
  /** Folder for the files; the job's id by default. */
  prefix: z.string().optional(),
});

export type AzureSettings = z.infer<typeof AzureSchema>;

export const azureStore = {
  name: 'azure',
  schema: AzureSchema,
  hint: 'nothing in output.azure',
  async open(settings: AzureSettings | undefined, context: StoreContext) {
    if (!settings) return undefined;
    const storage = await openAzureBlobs(settings, context);
    return toDestination(storage, { name: 'Azure', itemType: 'url' }, context);
  },
} as const satisfies Store<typeof AzureSchema>;

export interface AzureOptions extends Pick<StoreContext, 'allowPrivate' | 'urlExpiresS'> {
  /** Says when links expire. */
  readonly clock?: Clock;
  /** Delay before the first retry; shorter than the default only in tests. */
  readonly retryDelayMs?: number;
  /** Time Azure may be silent before an attempt is given up; 60 s by default. */
  readonly silenceMs?: number;
}

/**
 * A container of Azure Blob Storage. Connects to nothing yet.
 * @throws WorkerError `input.invalid` when the container is not on the public internet.
 */
export async function openAzureBlobs(
  settings: AzureSettings,
  options: AzureOptions,
): Promise<Storage> {
  const {
    retryDelayMs = RETRY_POLICIES.upload.firstMs,
    silenceMs = 60_000,
    allowPrivate,
  } = options;
  const url = new URL(under(settings.url, ''));
  const lookup = lookupFor(url, { field: 'input.output.azure.url', allowPrivate });
  const agentOptions = { keepAlive: true, ...(lookup && { lookup }) };
  const agent = limitAnswers(
    url.protocol === 'https:' ? new SecureAgent(agentOptions) : new Agent(agentOptions),
    SHORT_ANSWER,
  );

  const { AnonymousCredential, ContainerClient, newPipeline, StorageSharedKeyCredential } =
    await import('@azure/storage-blob');
  const credential =
    settings.accountKey === undefined
      ? new AnonymousCredential()
      : new StorageSharedKeyCredential(accountOf(url), settings.accountKey);
  const maxTries = RETRY_POLICIES.upload.retries + 1;
  const retryOptions = { maxTries, retryDelayInMs: retryDelayMs, tryTimeoutInMs: silenceMs };
  // The pipeline hands the agent through to the requests, although its type does not say so.
  const pipeline = newPipeline(credential, {
    retryOptions,
    userAgentOptions: { userAgentPrefix: USER_AGENT },
    ...({ agent } as object),
  });
  const container = new ContainerClient(url.href, pipeline);
  return new AzureBlobs(container, {
    ...settings,
    urlExpiresS: options.urlExpiresS,
    clock: options.clock ?? systemClock,
    agent,
  });
}

type OpenedContainer = Omit<AzureSettings, 'url'> & {
  readonly urlExpiresS: number;
  readonly clock: Clock;
  readonly agent: Agent;
};

class AzureBlobs implements Storage {
  readonly #container: ContainerClient;
  readonly #settings: OpenedContainer;

  constructor(container: ContainerClient, settings: OpenedContainer) {
    this.#container = container;
    this.#settings = settings;
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const { prefix = file.jobId } = this.#settings;
    const folder = withoutVariables(prefix).replace(/^\/+|\/+$/g, '');
    const name = folder === '' ? file.uniqueName : `${folder}/${file.uniqueName}`;
    const blob = this.#container.getBlockBlobClient(name);
    try {
      await upload(blob, file, signal);
      return await this.#linkTo(blob);
    } catch (error) {
      signal.throwIfAborted();
      const url = new URL(blob.url);
      const text = `[PUT] ${redactUrl(url)}: ${reasonOf(error, url.hostname)}`;
      throw new WorkerError('storage.upload_failed', text);
    }
  }

  /** With an account key: a link that can be read for a while. With a SAS: the address without it; the caller has it. */
  async #linkTo(blob: BlockBlobClient): Promise<string> {
    const { accountKey, urlExpiresS, clock } = this.#settings;
    if (accountKey === undefined) return redactUrl(blob.url);
    const { BlobSASPermissions } = await import('@azure/storage-blob');
    return await blob.generateSasUrl({
      permissions: BlobSASPermissions.from({ read: true }),
      expiresOn: new Date(clock.wallTime() + urlExpiresS * 1000),
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#settings.agent.destroy();
    return Promise.resolve();
  }
}

/**
 * Sends small files whole and large ones in blocks, which are read from disk one at a time. The library's own method for
 * large files takes no signal.
 */
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

const BLOCK_BYTES = 8 * 1024 * 1024;
const MOST_BLOCKS = 50_000;

/** The account: first label of a host name; of an IP address or a name without dots, the first segment of the path. */
function accountOf({ hostname, pathname }: URL): string {
  const isNamed = /\.[a-z]/i.test(hostname);
  return (isNamed ? hostname.split('.')[0] : pathname.split('/')[1]) ?? '';
}

/** Azure repeats what was signed in its answers, so only status and code are shown. */
function reasonOf(error: unknown, host: string): string {
  if (!isError(error) || !('statusCode' in error) || typeof error.statusCode !== 'number')
    return connectionFailure(error, { host, purpose: 'upload' }).reason;
  const code: unknown = 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? `${error.statusCode} (${code})` : String(error.statusCode);
}
