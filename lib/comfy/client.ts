import { STATUS_CODES } from 'node:http';
import { FormData, Pool, type Dispatcher } from 'undici';
import type { Clock } from '../clock.ts';
import { describeError, WorkerError } from '../errors.ts';
import { JsonText } from '../json.ts';
import { repeated } from './repeated.ts';
import { connectionError, statusError } from './request-error.ts';
import type { ComfySettings, Limits } from './settings.ts';
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

/** One file as ComfyUI names it. */
export interface ComfyFile {
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

/** An input file on its way to ComfyUI. */
export interface InputImage {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** Where ComfyUI put an uploaded file; the name may differ from the one that was asked for. */
export interface StoredImage {
  readonly name: string;
  readonly subfolder: string;
  readonly type: string;
}

type Body = string | FormData;

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

  /** The full address of a path, without credentials. */
  urlOf(path: string): string {
    return this.#url.origin + this.#url.pathname.replace(/\/$/, '') + path;
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

  /** What `/object_info` says about one class; undefined when it is not installed. */
  async nodeInfo(classType: string, signal?: AbortSignal): Promise<JsonText | undefined> {
    const path = `/object_info/${encodeURIComponent(classType)}`;
    const bound = {
      ms: this.#limits.nodeInfoMs,
      what: `[GET] ${path}`,
      clock: this.#clock,
      signal,
    };
    const answer = await within(bound, (inTime) => this.#getJson(path, inTime));
    return answer.get(classType);
  }

  /** The names of all classes of nodes that are installed. */
  async classNames(signal?: AbortSignal): Promise<string[]> {
    return (await this.#getJson('/object_info', signal)).entries().map(([name]) => name);
  }

  /** Stores an input file, replacing one of the same name. */
  async uploadImage(image: InputImage, signal?: AbortSignal): Promise<StoredImage> {
    const form = new FormData();
    form.append('image', new File([image.bytes], image.name, { type: image.mediaType }));
    form.append('overwrite', 'true');
    const answer = await repeated(() => this.#send('POST', '/upload/image', form, signal), signal);
    return storedImage(expectSuccess(answer));
  }

  /** The bytes of a file. An empty one is a failure: ComfyUI has not finished it, or could not. */
  async fetchFile(file: ComfyFile, signal?: AbortSignal): Promise<Uint8Array> {
    const query = new URLSearchParams({
      filename: file.filename,
      subfolder: file.subfolder,
      type: file.type,
    });
    const answer = await repeated(
      () => this.#send('GET', `/view?${query.toString()}`, undefined, signal),
      signal,
    );
    const { body, url } = expectSuccess(answer);
    if (body.length > 0) return body;
    throw new WorkerError('comfy.request_failed', `[GET] ${url}: the file is empty (0 bytes)`);
  }

  async #getJson(path: string, signal?: AbortSignal): Promise<JsonText> {
    return readJson(
      expectSuccess(await repeated(() => this.#send('GET', path, undefined, signal), signal)),
    );
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    body?: Body,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const url = this.urlOf(path);
    try {
      const response = await this.#pool.request(this.#request(method, path, body, signal));
      return await readAnswer(response, url);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw connectionError(error, method, url);
    }
  }

  #request(
    method: 'GET' | 'POST',
    path: string,
    body: Body | undefined,
    signal: AbortSignal | undefined,
  ): Dispatcher.RequestOptions {
    return {
      method,
      path: this.#url.pathname.replace(/\/$/, '') + path,
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

function storedImage(answer: Answer): StoredImage {
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
