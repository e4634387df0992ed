import { Readable } from 'node:stream';
import { FormData, type Agent } from 'undici';
import { createPublicAgent } from '../http/public-address.ts';
import { send, type Sending } from './http-send.ts';
import type { StoredFile } from './storage.ts';

export interface SenderOptions {
  /** Servers that need no public address, as `host:port`. */
  readonly allowPrivate: readonly string[];
  readonly retryDelayMs?: number;
  readonly silenceMs?: number;
}

/** Where a file is sent over plain HTTP, and what goes with it. */
export interface SendTarget {
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Sends files to addresses that callers name, if those are on the public internet; from the disk as they leave. */
export class Sender implements AsyncDisposable {
  readonly #agent: Agent;
  readonly #times: { readonly retryDelayMs: number; readonly silenceMs: number };

  constructor({ allowPrivate, retryDelayMs = 500, silenceMs = 60_000 }: SenderOptions) {
    this.#agent = createPublicAgent({ allow: allowPrivate });
    this.#times = { retryDelayMs, silenceMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.destroy();
  }

  /** @throws WorkerError `storage.upload_failed`; the signal's reason when it is aborted. */
  async put(target: SendTarget, file: StoredFile, signal: AbortSignal): Promise<void> {
    const { content, mediaType } = file;
    const { url, authorization } = withoutUser(target.url);
    const headers = {
      'content-type': mediaType,
      ...authorization,
      ...blobType(url),
      ...sendable(target.headers),
      'content-length': String(content.size),
    };
    await this.#send({ method: 'PUT', url, headers, body: () => streamOf(content) }, signal);
  }

  /** A form with `fields` first and the file last, as stores want it. */
  async postForm(
    target: SendTarget & { readonly fields: Readonly<Record<string, string>> },
    file: StoredFile,
    signal: AbortSignal,
  ): Promise<void> {
    const { url, authorization } = withoutUser(target.url);
    // The form writes its own, with its boundary.
    const headers = sendable(target.headers, FORM_OWNS);
    const body = () => formOf(target.fields, file);
    await this.#send(
      { method: 'POST', url, headers: { ...authorization, ...headers }, body },
      signal,
    );
  }

  #send(sending: Sending, signal: AbortSignal): Promise<void> {
    return send(sending, { agent: this.#agent, signal, ...this.#times });
  }
}

function streamOf(content: Blob): Readable {
  return Readable.fromWeb(content.stream());
}

function formOf(fields: Readonly<Record<string, string>>, file: StoredFile): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  form.append('file', new File([file.content], file.uniqueName, { type: file.mediaType }));
  return form;
}

/** `https://user:password@host` as clients send it. */
function withoutUser(sent: URL): { url: URL; authorization: Readonly<Record<string, string>> } {
  if (sent.username === '' && sent.password === '') return { url: sent, authorization: {} };
  const url = new URL(sent);
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = url.password = '';
  return { url, authorization: { authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

/** What Azure wants to be told, and signed URLs cannot tell it. */
function blobType({ hostname }: URL): Readonly<Record<string, string>> {
  return /\.blob\.[a-z.]+$/.test(hostname) ? { 'x-ms-blob-type': 'BlockBlob' } : {};
}

/** Names in lower case, without those that are the connection's own business. */
function sendable(
  headers: Readonly<Record<string, string>> = {},
  ours: ReadonlySet<string> = OURS,
): Record<string, string> {
  const named = Object.entries(headers).map(
    ([name, value]) => [name.toLowerCase(), value] as const,
  );
  return Object.fromEntries(named.filter(([name]) => !ours.has(name)));
}

const OURS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
]);
const FORM_OWNS = OURS.union(new Set(['content-type']));
