import { redactUrl } from '../http/redact.ts';
import type { Sender } from './sender.ts';
import type { Storage, StoredFile } from './storage.ts';

export interface HttpFolderSettings {
  /** What the names of files are added to; a query stays at the end. */
  readonly urlPrefix: string;
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** Any server that takes files by PUT: WebDAV, an artifact store, something of one's own. */
export class HttpFolder implements Storage {
  readonly #settings: HttpFolderSettings;
  readonly #sender: Sender;

  constructor(settings: HttpFolderSettings, sender: Sender) {
    this.#settings = settings;
    this.#sender = sender;
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    const { urlPrefix, headers } = this.#settings;
    const url = new URL(urlPrefix);
    url.pathname = `${url.pathname.replace(/\/$/, '')}/${encodeURIComponent(file.uniqueName)}`;
    await this.#sender.put({ url, headers }, file, signal);
    return redactUrl(url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender[Symbol.asyncDispose]();
  }
}
