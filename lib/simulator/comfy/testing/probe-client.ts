import { WebSocket } from 'ws';
import type { ComfySimulator } from '../simulator.ts';

/** A websocket client for tests: collects messages and waits for expected ones. */
export class ProbeSocket implements Disposable {
  readonly messages: ProbeMessage[] = [];
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  readonly #socket: WebSocket;
  #arrived = Promise.withResolvers<undefined>();

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    const closed = Promise.withResolvers<number>();
    this.closed = closed.promise;
    socket.on('close', closed.resolve);
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer, isBinary) => this.#receive(data, isBinary));
  }

  /** @throws Error when the server refuses; the message contains the status. */
  static async open({ url }: ComfySimulator, clientId?: string): Promise<ProbeSocket> {
    const query = clientId === undefined ? '' : `?clientId=${clientId}`;
    const socket = new WebSocket(`${url}/ws${query}`, { perMessageDeflate: false });
    const probe = new ProbeSocket(socket);
    const opened = Promise.withResolvers<undefined>();
    socket.once('open', () => opened.resolve(undefined));
    socket.once('error', opened.reject);
    await opened.promise;
    return probe;
  }

  /** Message types in order of arrival; `executing null` is the end of a prompt. */
  get types(): string[] {
    return this.messages.map(({ type, data }) => {
      const { node } = data as { node?: unknown };
      return type === 'executing' && node === null ? 'executing null' : type;
    });
  }

  send(text: string): void {
    this.#socket.send(text);
  }

  /** Resolves with the server's pong; for tests of half-open sockets. */
  ping(): Promise<void> {
    const pong = Promise.withResolvers<undefined>();
    this.#socket.once('pong', () => pong.resolve(undefined));
    this.#socket.ping();
    return pong.promise;
  }

  /** Stops reading, so that the buffers fill up and the sender has to wait. */
  pause(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.close();
  }

  /** The first matching message, past or future. @throws Error after five seconds. */
  async waitFor(fits: (message: ProbeMessage) => boolean): Promise<ProbeMessage> {
    const timeout = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => timeout.resolve(undefined), TIMEOUT_MS);
    const deadline = Date.now() + TIMEOUT_MS;
    try {
      for (;;) {
        const found = this.messages.find(fits);
        if (found) return found;
        if (Date.now() >= deadline)
          throw new Error(`No such message among: ${this.types.join(', ')}`);
        await Promise.race([this.#arrived.promise, timeout.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** The end of a prompt. */
  async waitForEnd(promptId?: string): Promise<void> {
    await this.waitFor(({ type, data }) => {
      const { node, prompt_id: id } = data as { node?: unknown; prompt_id?: unknown };
      return type === 'executing' && node === null && (promptId ?? id) === id;
    });
  }

  [Symbol.dispose](): void {
    this.#socket.terminate();
  }

  #receive(data: Buffer, isBinary: boolean): void {
    this.messages.push(
      isBinary
        ? { type: `frame ${data.readUInt32BE(0)}`, data }
        : (JSON.parse(data.toString()) as ProbeMessage),
    );
    this.#arrived.resolve(undefined);
    this.#arrived = Promise.withResolvers();
  }
}

export interface ProbeMessage {
  readonly type: string;
  readonly data: unknown;
}

const TIMEOUT_MS = 5_000;

/** `POST`s a value as JSON; a string is sent as it is. */
export function post({ url }: ComfySimulator, path: string, body: unknown): Promise<Response> {
  return fetch(url + path, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

export async function get({ url }: ComfySimulator, path: string): Promise<unknown> {
  const response = await fetch(url + path);
  return response.json();
}

/** Submits a graph and returns its prompt id. */
export async function submit(
  comfy: ComfySimulator,
  prompt: unknown,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const response = await post(comfy, '/prompt', { prompt, ...fields });
  const body = (await response.json()) as { prompt_id?: string };
  if (body.prompt_id === undefined) throw new Error(`Refused: ${JSON.stringify(body)}`);
  return body.prompt_id;
}

/** A prompt id for tests, in the order of the letters: `a` is below `b`. */
export const idFor = (letter: string) =>
  `00000000-0000-4000-8000-0000000000${letter.charCodeAt(0).toString(16)}`;

/** Ids of the running and pending prompts. */
export async function queueOf(comfy: ComfySimulator) {
  const queue = (await get(comfy, '/queue')) as Record<string, [number, string][]>;
  const ids = (name: string) => queue[name]?.map(([, id]) => id);
  return { running: ids('queue_running'), pending: ids('queue_pending') };
}

/** A workflow of three nodes: an image, a sampler with steps, a saved file. */
export function samplerGraph({ steps = 3, stepMs = 1, seed = 0, prefix = 'T' } = {}) {
  return {
    1: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 255 } },
    2: {
      class_type: 'ProbeSampler',
      inputs: { image: ['1', 0], steps, step_ms: stepMs, seed },
    },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: prefix } },
  };
}

/** The smallest workflow: one node that shows a text. */
export const textGraph = (text: string) => ({ 1: { class_type: 'ProbeText', inputs: { text } } });
