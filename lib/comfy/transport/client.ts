import { STATUS_CODES } from 'node:http';
import { Pool, type Dispatcher, type FormData } from 'undici';
import type { Clock } from '../../clock.ts';
import { describeError, isWorkerError, WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { ComfyFile, FetchFileOptions, InputToStore, StoredInput } from '../backend.ts';
import { receiveFile } from './received-file.ts';
import { repeated } from './repeated.ts';
import { connectionError, statusError } from './request-error.ts';
import type { ComfySettings, Limits } from '../local/settings.ts';
import { uploadForm } from './upload-form.ts';
import { within } from './within.ts';

/** An answer read to its end, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly url: string;
  readonly body: Uint8Array;
}

/** Who runs and who waits, by prompt id. */
export interface QueueIds {
  readonly running: readonly string[];
  readonly pending: readonly string[];
}

type Body = string | FormData;
type Method = 'GET' | 'HEAD' | 'POST';

/**
 * ComfyUI over HTTP. Failures are {@link WorkerError}s: `comfy.request_failed` for a status or a connection (`isTimeout`
 * tells the slow ones), `comfy.protocol` for an answer that cannot be understood. An abort rejects with its reason.
 */
export class ComfyClient implements AsyncDisposable {
  readonly #pool: Pool;
  readonly #url: URL;
  readonly #clock: Clock;
  readonly #limits: Limits;

  constructor(
    { url, requestTimeoutMs, limits }: Pick<ComfySettings, 'url' | 'requestTimeoutMs' | 'limits'>,
    clock: Clock,
  ) {
    this.#clock = clock;
    this.#limits = limits;
    this.#url = new URL(url);
    this.#pool = new Pool(this.#url.origin, {
      headersTimeout: requestTimeoutMs,
      bodyTimeout: requestTimeoutMs,
      connect: { timeout: this.#limits.connectMs },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  /** Path before every route, from the configured URL; usually empty. */
  get pathPrefix(): string {
    return this.#url.pathname.replace(/\/$/, '');
  }

  /** The full address of a path, without credentials. */
  urlOf(path: string): string {
    return this.#url.origin + this.pathPrefix + path;
  }

  /** Resolves when `GET /` is answered with 200, within five seconds. */
  async probe(signal?: AbortSignal): Promise<void> {
    const bound = {
      ms: this.#limits.probeMs,
      what: `[GET] ${this.urlOf('/')}`,
      clock: this.#clock,
      signal,
    };
    const answer = await within(bound, (inTime) => this.#send('GET', '/', undefined, inTime));
    if (answer.status !== 200) throw statusError(answer);
  }

  /** Posts a prompt once. What the answer means is for the caller to decide. */
  postPrompt(body: string, signal?: AbortSignal): Promise<Answer> {
    return this.#send('POST', '/prompt', body, signal);
  }

  async queue(signal?: AbortSignal): Promise<QueueIds> {
    const answer = await this.#getJson('/queue', signal);
    return {
      running: promptIds(answer.get('queue_running')),
      pending: promptIds(answer.get('queue_pending')),
    };
  }

  /** The record of a prompt that has ended; undefined while there is none. */
  async history(promptId: string, signal?: AbortSignal): Promise<JsonText | undefined> {
    const answer = await this.#getJson(`/history/${encodeURIComponent(promptId)}`, signal);
    return answer.get(promptId);
  }

  /** Removes a waiting prompt from the queue. A running or unknown one is left alone. */
  async deletePending(promptId: string, signal?: AbortSignal): Promise<void> {
    expectSuccess(
      await this.#send('POST', '/queue', JSON.stringify({ delete: [promptId] }), signal),
    );
  }

  /** Interrupts this prompt if it runs. ComfyUI before 0.3.57 interrupts whatever runs: look first. */
  async interrupt(promptId: string, signal?: AbortSignal): Promise<void> {
    expectSuccess(
      await this.#send('POST', '/interrupt', JSON.stringify({ prompt_id: promptId }), signal),
    );
  }

  /** Drops cached results, and models with them, as soon as nothing runs (`main.py`, `prompt_worker`). */
  async forgetResults(signal?: AbortSignal): Promise<void> {
    expectSuccess(await this.#send('POST', '/free', '{"free_memory":true}', signal));
  }

  /** What `/object_info` says about one class; undefined when it is not installed. */
  async nodeInfo(classType: string, signal?: AbortSignal): Promise<JsonText | undefined> {
    const answer = await this.json(`/object_info/${encodeURIComponent(classType)}`, signal);
    return answer.get(classType);
  }

  /** The names of all classes of nodes that are installed. */
  async classNames(signal?: AbortSignal): Promise<string[]> {
    return (await this.#getJson('/object_info', signal)).entries().map(([name]) => name);
  }

  /** ComfyUI's version, as `/system_stats` tells it; undefined for those that do not. */
  async version(signal?: AbortSignal): Promise<string | undefined> {
    const stats = await this.json('/system_stats', signal);
    const version = stats.get('system')?.get('comfyui_version')?.value();
    return typeof version === 'string' ? version : undefined;
  }

  /** What a path of ComfyUI's answers, if it does within ten seconds. */
  json(path: string, signal?: AbortSignal): Promise<JsonText> {
    const ms = this.#limits.nodeInfoMs;
    const bound = { ms, what: `[GET] ${path}`, clock: this.#clock, signal };
    return within(bound, (inTime) => this.#getJson(path, inTime));
  }

  /** Whether ComfyUI can give out this file. */
  async hasFile(file: ComfyFile, signal?: AbortSignal): Promise<boolean> {
    const query = new URLSearchParams({ ...file });
    const look = () => this.#send('HEAD', `/view?${query.toString()}`, undefined, signal);
    return (await repeated(look, signal)).status === 200;
  }

  /** Stores an input file, replacing one of the same name. */
  async uploadImage(image: InputToStore, signal?: AbortSignal): Promise<StoredInput> {
    const form = uploadForm(image);
    const path = image.maskOf ? '/upload/mask' : '/upload/image';
    const answer = await repeated(() => this.#send('POST', path, form, signal), signal);
    return storedImage(expectSuccess(answer));
  }

  /** The bytes of a file. An empty one is a failure: ComfyUI has not finished it, or could not. */
  async fetchFile(file: ComfyFile, options: FetchFileOptions): Promise<Blob> {
    const query = new URLSearchParams({
      filename: file.filename,
      subfolder: file.subfolder,
      type: file.type,
    });
    const path = `/view?${query.toString()}`;
    const content = await repeated(() => this.#receive(path, options), options.signal);
    if (content.size > 0) return content;
    const url = this.urlOf(path);
    throw new WorkerError('comfy.request_failed', `[GET] ${url}: the file is empty (0 bytes)`);
  }

  #receive(path: string, options: FetchFileOptions): Promise<Blob> {
    const read = async (response: Dispatcher.ResponseData, url: string) => {
      if (response.statusCode >= 400) throw statusError(await readAnswer(response, url));
      return receiveFile(response, options);
    };
    return this.#exchange(this.#request('GET', path, undefined, options.signal), read);
  }

  async #getJson(path: string, signal?: AbortSignal): Promise<JsonText> {
    return readJson(
      expectSuccess(await repeated(() => this.#send('GET', path, undefined, signal), signal)),
    );
  }

  #send(method: Method, path: string, body?: Body, signal?: AbortSignal): Promise<Answer> {
    return this.#exchange(this.#request(method, path, body, signal), readAnswer);
  }

  async #exchange<T>(
    request: Dispatcher.RequestOptions & { readonly signal?: AbortSignal },
    read: (response: Dispatcher.ResponseData, url: string) => Promise<T>,
  ): Promise<T> {
    const url = this.#url.origin + request.path;
    try {
      return await read(await this.#pool.request(request), url);
    } catch (error) {
      if (request.signal?.aborted) throw request.signal.reason;
      throw isWorkerError(error) ? error : connectionError(error, request.method, url);
    }
  }

  #request(
    method: Method,
    path: string,
    body: Body | undefined,
    signal: AbortSignal | undefined,
  ): Dispatcher.RequestOptions & { readonly signal?: AbortSignal } {
    return {
      method,
      path: this.pathPrefix + path,
      ...(body === undefined ? {} : { body }),
      ...(typeof body === 'string' ? { headers: { 'content-type': 'application/json' } } : {}),
      ...(signal ? { signal } : {}),
    };
  }
}

async function readAnswer(response: Dispatcher.ResponseData, url: string): Promise<Answer> {
  return {
    status: response.statusCode,
    reason: response.statusText || (STATUS_CODES[response.statusCode] ?? ''),
    url,
    body: await response.body.bytes(),
  };
}

function expectSuccess(answer: Answer): Answer {
  if (answer.status >= 400) throw statusError(answer);
  return answer;
}

/** @throws WorkerError `comfy.protocol` showing how the answer begins. */
export function readJson({ body, url }: Answer): JsonText {
  const text = textOf(body);
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw new WorkerError(
      'comfy.protocol',
      `${url} did not answer with JSON (${describeError(error)}): ${JSON.stringify(text.slice(0, 200))}`,
      { cause: error },
    );
  }
}

export function textOf(body: Uint8Array): string {
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
}

function storedImage(answer: Answer): StoredInput {
  const stored = readJson(answer);
  const field = (key: string) => {
    const value = stored.get(key)?.value();
    return typeof value === 'string' ? value : undefined;
  };
  const name = field('name');
  if (name !== undefined)
    return { name, subfolder: field('subfolder') ?? '', type: field('type') ?? 'input' };
  throw new WorkerError(
    'comfy.protocol',
    `${answer.url} did not say under which name it stored the image: ${stored.text.slice(0, 200)}`,
  );
}

/** Queue items are `[number, prompt id, graph, ...]`. */
function promptIds(items: JsonText | undefined): string[] {
  return (items?.items() ?? []).map((item) => String(item.items()[1]?.value()));
}
