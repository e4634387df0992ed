import type { HubApiError } from '@huggingface/hub';
import { fetch as undiciFetch, Headers, type Agent, type RequestInit } from 'undici';
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import { describeError, errnoOf, isError } from '../errors.ts';
import { limitedResponse, SHORT_ANSWER } from '../http/answer-limit.ts';
import { under } from '../http/base-url.ts';
import { connectionFailure } from '../http/failure.ts';
import { createPublicAgent } from '../http/public-address.ts';
import { retry, RETRY_POLICIES } from '../http/retry.ts';
import { USER_AGENT } from '../version.ts';
import { withoutVariables } from './key.ts';
import {
  HttpUrlSchema,
  type Destination,
  type Store,
  type StoreContext,
  type Stored,
  type StoredFile,
} from './storage.ts';

const HuggingFaceSchema = z.strictObject({
  /** `owner/name` */
  repo: z.string().min(1),
  repoType: z.enum(['model', 'dataset', 'space']).optional(),
  token: z.string().min(1),
  /** Branch; `main` by default. */
  revision: z.string().min(1).optional(),
  /** Folder for the files; the job's id by default. */
  directory: z.string().optional(),
  /** A hub other than huggingface.co. */
  hubUrl: HttpUrlSchema.optional(),
});

export type HuggingFaceSettings = z.infer<typeof HuggingFaceSchema>;

export interface HuggingFaceOptions extends Pick<StoreContext, 'allowPrivate'> {
  /** Delay before the first retry; shorter than the default only in tests. */
  readonly retryDelayMs?: number;
}

export const huggingFaceStore = {
  name: 'huggingFace',
  schema: HuggingFaceSchema,
  hint: 'nothing in output.huggingFace',
  open(settings: HuggingFaceSettings | undefined, context: StoreContext) {
    return Promise.resolve(settings && new HuggingFaceRepo(settings, context));
  },
} as const satisfies Store<typeof HuggingFaceSchema>;

/** A repository on the hub. The files of a job are one commit: either all are stored or none. */
export class HuggingFaceRepo implements Destination {
  readonly name = 'Hugging Face';
  readonly itemType = 'url';
  readonly #settings: HuggingFaceSettings;
  readonly #hubUrl: string;
  readonly #agent: Agent;
  readonly #retryDelayMs: number;

  constructor(
    settings: HuggingFaceSettings,
    { allowPrivate, retryDelayMs = RETRY_POLICIES.upload.firstMs }: HuggingFaceOptions,
  ) {
    this.#settings = settings;
    this.#hubUrl = under(settings.hubUrl ?? 'https://huggingface.co', '');
    this.#agent = createPublicAgent({
      allow: allowPrivate,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
    });
    this.#retryDelayMs = retryDelayMs;
  }

  async store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]> {
    try {
      const commitId = await retry(() => this.#commit(files, signal), {
        policy: { ...RETRY_POLICIES.upload, firstMs: this.#retryDelayMs },
        clock: systemClock,
        signal,
        isTransient,
      });
      return files.map((file) => ({ address: this.#addressOf(file, commitId) }));
    } catch (error) {
      signal.throwIfAborted();
      const problem = `${this.#settings.repo}: ${this.#reasonOf(error)}`;
      return files.map(() => ({ problem }));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /** @returns the id of the commit. */
  async #commit(files: readonly StoredFile[], signal: AbortSignal): Promise<string> {
    const { commit } = await import('@huggingface/hub');
    const { repo, repoType = 'model', token, revision = 'main' } = this.#settings;
    const committed = await commit({
      repo: { type: repoType, name: repo },
      accessToken: token,
      branch: revision,
      title: `Add files of job ${files[0]?.jobId ?? ''}`,
      operations: files.map((file) => ({
        operation: 'addOrUpdate',
        path: this.#pathOf(file),
        content: file.content,
      })),
      // Xet keeps much of a file in memory; Git LFS does not.
      useXet: false,
      abortSignal: signal,
      fetch: this.#fetch as unknown as typeof fetch,
      hubUrl: this.#hubUrl,
    });
    return committed?.commit.oid ?? revision;
  }

  /** The hub names other servers for large files; those must be public, too. */
  readonly #fetch = async (url: string, init: RequestInit) => {
    const isStreamed = init.body instanceof Blob;
    const duplex = isStreamed ? ({ duplex: 'half' } as const) : {};
    const headers = new Headers(init.headers);
    headers.set('user-agent', USER_AGENT);
    const sent = { ...init, headers, dispatcher: this.#agent, ...duplex };
    const response = await undiciFetch(url, sent);
    return limitedResponse(response, SHORT_ANSWER);
  };

  #pathOf({ jobId, uniqueName }: StoredFile): string {
    const folder = withoutVariables(this.#settings.directory ?? jobId).replace(/^\/+|\/+$/g, '');
    return folder === '' ? uniqueName : `${folder}/${uniqueName}`;
  }

  /** The address contains the commit, so that later commits do not change what it leads to. */
  #addressOf(file: StoredFile, commitId: string): string {
    const { repo, repoType = 'model' } = this.#settings;
    const repoPath = repoType === 'model' ? repo : `${repoType}s/${repo}`;
    const path = this.#pathOf(file).split('/').map(encodeURIComponent).join('/');
    return `${this.#hubUrl}/${repoPath}/resolve/${commitId}/${path}`;
  }

  #reasonOf(error: unknown): string {
    if (isRefusal(error)) {
      const advice = ADVICE[error.statusCode] ?? 'the hub refused the files';
      return `${error.statusCode} (${advice})`;
    }
    if (errnoOf(error) === undefined) return describeError(error);
    const host = new URL(this.#hubUrl).hostname;
    return connectionFailure(error, { host, purpose: 'upload' }).reason;
  }
}

/** Time the hub may take to answer. */
const SILENCE_MS = 60_000;

/** An answer of the hub with an error status. */
function isRefusal(error: unknown): error is HubApiError {
  return isError(error) && 'statusCode' in error && typeof error.statusCode === 'number';
}

function isTransient(error: unknown): boolean {
  if (isRefusal(error)) return error.statusCode >= 500 || error.statusCode === 429;
  const errno = errnoOf(error);
  return errno !== undefined && errno !== 'EPRIVATE';
}

const ADVICE: Readonly<Record<number, string>> = {
  401: 'the token is not known there',
  403: 'the token needs the right to write',
  404: 'there is no such repository or branch, or the token does not see it',
};
