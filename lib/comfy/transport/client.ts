import { STATUS_CODES } from 'node:http';
import { Pool, type Dispatcher } from 'undici';
import type { Clock } from '../../clock.ts';
import { describeError, isWorkerError, WorkerError } from '../../errors.ts';
import type { FileContent } from '../../file-content.ts';
import { under } from '../../http/base-url.ts';
import { readBytes } from '../../http/bodies.ts';
import { JsonText, type JsonKind } from '../../json.ts';
import type { ComfyFile, FetchFileOptions, InputToStore, StoredInput } from '../backend.ts';
import type { ComfySettings, Limits } from '../settings.ts';
import { USER_AGENT } from '../../version.ts';
import { againWhenHalfOpen } from './half-open.ts';
import { encodeForm, receiveBody, type Form } from './bodies.ts';
import { connectionError, StatusError, withTimeout } from './request-failure.ts';

/** A response whose body was read to its end, whatever its status. */
export interface Answer {
  readonly status: number;
  readonly reason: string;
  readonly url: string;
  readonly text: string;
}

interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly path: string;
  readonly body?: string | Form;
  /** Sent again when its connection breaks or is half-open, and when ComfyUI answers 5xx. */
  readonly isIdempotent?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * ComfyUI's HTTP routes (`server.py`, `PromptServer`). Failures are `WorkerError`s: `comfy.request_failed` for a bad status
 * or a failed connection (see `isTimeout`), `comfy.protocol` for an answer that cannot be understood. When the caller's
 * signal aborts, its reason is thrown instead.
 */
export class ComfyClient implements AsyncDisposable {
  /** Path before every route, from the configured URL; usually empty. */
  readonly pathPrefix: string;
  readonly #origin: string;
  readonly #pool: Pool;
  readonly #clock: Clock;
  readonly #limits: Limits;

  constructor(
    { url, requestTimeoutMs, limits }: Pick<ComfySettings, 'url' | 'requestTimeoutMs' | 'limits'>,
    clock: Clock,
  ) {
    const { origin, pathname } = new URL(url);
    this.#origin = origin;
    this.pathPrefix = under(pathname, '');
    this.#clock = clock;
    this.#limits = limits;
    this.#pool = new Pool(origin, {
      headersTimeout: requestTimeoutMs,
      bodyTimeout: requestTimeoutMs,
      connect: { timeout: limits.connectMs },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.destroy();
  }

  /** The full URL of a route, without credentials. */
  urlOf(path: string): string {
    return this.#origin + this.pathPrefix + path;
  }

  /** Resolves when `GET /` is answered with 200 within `limits.probeMs`. */
  async probe(signal?: AbortSignal): Promise<void> {
    const limit = { ms: this.#limits.probeMs, what: `[GET] ${this.urlOf('/')}` };
    const answer = await withTimeout({ ...limit, clock: this.#clock, signal }, (inTime) =>
      this.#send({ method: 'GET', path: '/', signal: inTime }),
    );
    if (answer.status !== 200) throw new StatusError(answer);
  }

  /** Posts a prompt once. The caller decides what the answer means. */
  postPrompt(body: string, signal?: AbortSignal): Promise<Answer> {
    return this.#send({ method: 'POST', path: '/prompt', body, signal });
  }

  /** Ids of the prompts that run and wait. Queue items are `[number, prompt id, graph, ...]`. */
  async queue(
    signal?: AbortSignal,
  ): Promise<{ readonly running: readonly string[]; readonly pending: readonly string[] }> {
    const answer = await this.#getJson('/queue', signal);
    const promptIds = (list: string) => {
      const items = expectKind('array', answer.get(list), `[GET] /queue: ${list}`).items();
      return items.map((item) => String(item.items()[1]?.value()));
    };
    return { running: promptIds('queue_running'), pending: promptIds('queue_pending') };
  }

  /** The history entry of a prompt that has ended; undefined while there is none. */
  async history(promptId: string, signal?: AbortSignal): Promise<JsonText | undefined> {
    const answer = await this.#getJson(`/history/${encodeURIComponent(promptId)}`, signal);
    return expectKind('object', answer, '[GET] /history').get(promptId);
  }

  /** Removes a waiting prompt from the queue. A running or unknown one is left alone. */
  deletePending(promptId: string, signal?: AbortSignal): Promise<void> {
    return this.#postJson('/queue', { delete: [promptId] }, signal);
  }

  /** Interrupts this prompt if it runs. ComfyUI before 0.3.57 interrupts any running prompt: check the queue first. */
  interrupt(promptId: string, signal?: AbortSignal): Promise<void> {
    return this.#postJson('/interrupt', { prompt_id: promptId }, signal);
  }

  /**
   * Interrupts a running prompt or removes a waiting one, and never touches another one.
   * @returns false when ComfyUI has no such route: before 0.26 it answers 405.
   */
  async cancelJob(promptId: string, signal?: AbortSignal): Promise<boolean> {
    const path = `/api/jobs/${encodeURIComponent(promptId)}/cancel`;
    const answer = await this.#send({ method: 'POST', path, signal });
    if (answer.status === 404 || answer.status === 405) return false;
    if (answer.status >= 400) throw new StatusError(answer);
    return true;
  }

  /** Drops cached results and unloads models as soon as nothing runs (`main.py`, `prompt_worker`). */
  freeMemory(signal?: AbortSignal): Promise<void> {
    return this.#postJson('/free', { free_memory: true }, signal);
  }

  /** The description of a node class in `/object_info`; undefined when it is not installed. */
  async nodeInfo(classType: string, signal?: AbortSignal): Promise<JsonText | undefined> {
    const path = `/object_info/${encodeURIComponent(classType)}`;
    const answer = await this.getInfo(path, signal);
    return expectKind('object', answer, `[GET] ${path}`).get(classType);
  }

  /** The names of all installed node classes. */
  async nodeClassNames(signal?: AbortSignal): Promise<string[]> {
    const infos = await this.#getJson('/object_info', signal);
    const entries = expectKind('object', infos, '[GET] /object_info').entries();
    return entries.map(([name]) => name);
  }

  /** JSON that is useful but not essential, given up after `limits.nodeInfoMs`. */
  getInfo(path: string, signal?: AbortSignal): Promise<JsonText> {
    const limit = { ms: this.#limits.nodeInfoMs, what: `[GET] ${path}` };
    return withTimeout({ ...limit, clock: this.#clock, signal }, (inTime) =>
      this.#getJson(path, inTime),
    );
  }

  /** Whether ComfyUI has this file. An answer of 5xx says neither, and is thrown. */
  async hasFile(file: ComfyFile, signal?: AbortSignal): Promise<boolean> {
    const path = viewPath(file);
    const answer = await this.#send({ method: 'HEAD', path, isIdempotent: true, signal });
    return answer.status === 200;
  }

  /** Stores an input file and replaces one of the same name. The content is streamed. */
  async uploadFile(file: InputToStore, signal?: AbortSignal): Promise<StoredInput> {
    const { name, content, mediaType, subfolder = '', maskOf } = file;
    const form: Form = {
      file: { field: 'image', name, mediaType, content },
      texts: [
        ['overwrite', 'true'],
        ...(subfolder === '' ? [] : [['subfolder', subfolder] as const]),
        ...(maskOf ? [['original_ref', JSON.stringify(maskOf)] as const] : []),
      ],
    };
    const path = maskOf ? '/upload/mask' : '/upload/image';
    const request: Request = { method: 'POST', path, body: form, isIdempotent: true, signal };
    const answer = await this.#send(request);
    const stored = readJson(answer);
    const field = (key: string) => {
      const value = stored.get(key)?.value();
      return typeof value === 'string' ? value : undefined;
    };
    const storedName = field('name');
    if (storedName === undefined)
      throw new WorkerError(
        'comfy.protocol',
        `${answer.url} did not say under which name it stored the image: ${stored.text.slice(0, 200)}`,
      );
    return {
      name: storedName,
      subfolder: field('subfolder') ?? '',
      type: field('type') ?? 'input',
    };
  }

  /** The bytes of a file. An empty file is a failure: ComfyUI has not finished it, or could not write it. */
  async fetchFile(file: ComfyFile, options: FetchFileOptions): Promise<FileContent> {
    const { signal } = options;
    const path = viewPath(file);
    const receive = async (response: Dispatcher.ResponseData, url: string) => {
      if (response.statusCode >= 400)
        throw new StatusError(await toAnswer(response, url, this.#limits.answerBytes));
      return await receiveBody(response, options);
    };
    const request: Request = { method: 'GET', path, isIdempotent: true, signal };
    const content = await this.#exchange(request, receive);
    if (content.size > 0) return content;
    const url = this.urlOf(path);
    throw new WorkerError('comfy.request_failed', `[GET] ${url}: the file is empty (0 bytes)`);
  }

  async #getJson(path: string, signal?: AbortSignal): Promise<JsonText> {
    return readJson(await this.#send({ method: 'GET', path, isIdempotent: true, signal }));
  }

  async #postJson(path: string, body: object, signal?: AbortSignal): Promise<void> {
    const answer = await this.#send({ method: 'POST', path, body: JSON.stringify(body), signal });
    if (answer.status >= 400) throw new StatusError(answer);
  }

  #send(request: Request): Promise<Answer> {
    return this.#exchange(request, (response, url) =>
      toAnswer(response, url, this.#limits.answerBytes),
    );
  }

  async #exchange<T>(
    { method, path, body, isIdempotent = false, signal }: Request,
    read: (response: Dispatcher.ResponseData, url: string) => Promise<T>,
  ): Promise<T> {
    const url = this.urlOf(path);
    const attempt = async (signal: AbortSignal | undefined, onProgress: () => void) => {
      const sent = toHttp(body, onProgress);
      try {
        const response = await this.#pool.request({
          method,
          path: this.pathPrefix + path,
          ...(sent.body !== undefined && { body: sent.body }),
          headers: { 'user-agent': USER_AGENT, ...sent.headers },
          ...(signal && { signal }),
        });
        if (isIdempotent && response.statusCode >= 500)
          throw new StatusError(await toAnswer(response, url, this.#limits.answerBytes));
        return await read(response, url);
      } catch (error) {
        if (signal?.aborted) throw signal.reason;
        throw isWorkerError(error) ? error : connectionError(error, method, url);
      }
    };
    if (!isIdempotent) return await attempt(signal, () => undefined);
    const options = { clock: this.#clock, signal, stallMs: this.#limits.stallMs };
    return await againWhenHalfOpen(attempt, { ...options, probe: (inTime) => this.probe(inTime) });
  }
}

function toHttp(body: string | Form | undefined, onProgress: () => void) {
  if (typeof body === 'object') return encodeForm(body, onProgress);
  return body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body };
}

/** An answer that is something else says nothing, and must not be taken for one that is empty. */
function expectKind(kind: JsonKind, answer: JsonText | undefined, what: string): JsonText {
  if (answer?.kind === kind) return answer;
  const got = answer ? answer.text.slice(0, 60) : 'nothing';
  throw new WorkerError('comfy.protocol', `${what} is not what ComfyUI answers: ${got}`);
}

function viewPath({ filename, subfolder, type }: ComfyFile): string {
  return `/view?${new URLSearchParams({ filename, subfolder, type }).toString()}`;
}

async function toAnswer(
  response: Dispatcher.ResponseData,
  url: string,
  maxBytes: number,
): Promise<Answer> {
  const { statusCode: status, statusText } = response;
  return {
    status,
    reason: statusText || (STATUS_CODES[status] ?? ''),
    url,
    text: new TextDecoder().decode(await readBytes(response, { maxBytes })),
  };
}

/**
 * @throws WorkerError `comfy.request_failed` for a status of 400 or more, `comfy.protocol` for a body that is not JSON,
 * with its beginning.
 */
export function readJson(answer: Answer): JsonText {
  if (answer.status >= 400) throw new StatusError(answer);
  const { text, url } = answer;
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
