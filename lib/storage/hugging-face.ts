import type { HubApiError } from '@huggingface/hub';
import pRetry from 'p-retry';
import { fetch as undiciFetch, type Agent, type RequestInit } from 'undici';
import { describeError, errnoOf, isError } from '../errors.ts';
import { createPublicAgent, NOT_PUBLIC } from '../http/public-address.ts';
import { withoutVariables } from './key.ts';
import type { Destination, Stored, StoredFile } from './storage.ts';

export interface HuggingFaceSettings {
  /** `owner/name` */
  readonly repo: string;
  readonly repoType?: 'model' | 'dataset' | 'space' | undefined;
  readonly token: string;
  /** Branch; `main` when absent. */
  readonly revision?: string | undefined;
  /** Folder for the files; the job's id when absent. */
  readonly directory?: string | undefined;
  readonly hubUrl?: string | undefined;
}

export interface HuggingFaceOptions {
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  readonly retryDelayMs?: number;
}

/** A repository on the hub. The files of a job are one commit: all of them are there, or none. */
export class HuggingFaceRepo implements Destination {
  readonly name = 'Hugging Face';
  readonly itemType = 'url';
  readonly #settings: HuggingFaceSettings;
  readonly #agent: Agent;
  readonly #retryDelayMs: number;

  constructor(
    settings: HuggingFaceSettings,
    { allowPrivate, retryDelayMs = 500 }: HuggingFaceOptions,
  ) {
    this.#settings = settings;
    this.#agent = createPublicAgent({
      allow: allowPrivate,
      headersTimeout: SILENCE_MS,
      bodyTimeout: SILENCE_MS,
    });
    this.#retryDelayMs = retryDelayMs;
  }

  async store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]> {
    try {
      const commitId = await pRetry(() => this.#commit(files, signal), {
        retries: 3,
        minTimeout: this.#retryDelayMs,
        randomize: true,
        signal,
        shouldRetry: ({ error }) => mayPass(error),
      });
      return files.map((file) => ({ address: this.#addressOf(file, commitId) }));
    } catch (error) {
      signal.throwIfAborted();
      const problem = this.#problemWith(error);
      return files.map(() => ({ problem }));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /** @returns the id of the commit. */
  async #commit(files: readonly StoredFile[], signal: AbortSignal): Promise<string> {
    const { commit } = await import('@huggingface/hub');
    const { repo, repoType = 'model', token, revision = 'main', hubUrl } = this.#settings;
    const made = await commit({
      repo: { type: repoType, name: repo },
      accessToken: token,
      branch: revision,
      title: `Add files of job ${files[0]?.jobId ?? ''}`,
      operations: files.map((file) => ({
        operation: 'addOrUpdate',
        path: this.#pathOf(file),
        content: file.content,
      })),
      // Its own protocol holds much in memory; what all stores of large files speak does not.
      useXet: false,
      abortSignal: signal,
      fetch: this.#fetch as unknown as typeof fetch,
      ...(hubUrl === undefined ? {} : { hubUrl: hubUrl.replace(/\/$/, '') }),
    });
    return made?.commit.oid ?? revision;
  }

  /** Also where the hub sends large files is connected to only when it is public. */
  readonly #fetch = (url: string, init: RequestInit) =>
    undiciFetch(url, { ...init, dispatcher: this.#agent, ...(isStreamed(init) ? HALF : {}) });

  #pathOf({ jobId, uniqueName }: StoredFile): string {
    const folder = withoutVariables(this.#settings.directory ?? jobId).replace(/^\/+|\/+$/g, '');
    return folder === '' ? uniqueName : `${folder}/${uniqueName}`;
  }

  /** By commit, so that it is this file for ever. */
  #addressOf(file: StoredFile, commitId: string): string {
    const { repo, repoType = 'model', hubUrl = 'https://huggingface.co' } = this.#settings;
    const place = repoType === 'model' ? repo : `${repoType}s/${repo}`;
    const path = this.#pathOf(file).split('/').map(encodeURIComponent).join('/');
    return `${hubUrl.replace(/\/$/, '')}/${place}/resolve/${commitId}/${path}`;
  }

  #problemWith(error: unknown): string {
    const { repo } = this.#settings;
    if (errnoOf(error) === 'EPRIVATE') return `${repo}: the hub is ${NOT_PUBLIC.upload}`;
    if (isRefusal(error)) return `${repo}: ${error.statusCode} (${adviceFor(error.statusCode)})`;
    const errno = errnoOf(error);
    return `${repo}: ${errno === undefined ? describeError(error) : `the connection failed (${errno})`}`;
  }
}

/** How long the hub may take to answer. */
const SILENCE_MS = 60_000;
const HALF = { duplex: 'half' } as const;
const isStreamed = ({ body }: RequestInit) => body instanceof Blob;

function isRefusal(error: unknown): error is HubApiError {
  return isError(error) && 'statusCode' in error && typeof error.statusCode === 'number';
}

function mayPass(error: unknown): boolean {
  if (isRefusal(error)) return error.statusCode >= 500 || error.statusCode === 429;
  const errno = errnoOf(error);
  return errno !== undefined && errno !== 'EPRIVATE';
}

function adviceFor(status: number): string {
  if (status === 401) return 'the token is not known there';
  if (status === 403) return 'the token needs the right to write';
  if (status === 404) return 'there is no such repository or branch, or the token does not see it';
  return 'the hub refused the files';
}
