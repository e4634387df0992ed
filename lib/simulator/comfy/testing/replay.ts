import { WebSocket } from 'ws';
import type { ComfySimulator } from '../simulator.ts';
import type { HttpLine, Message, TranscriptLine } from './transcript.ts';

/** The bodies that are not in the transcript, by the index of the HTTP exchange in the scenario. */
export type Unrecorded = (exchange: number) => Promise<FormData | undefined>;

interface Connection {
  readonly client: string;
  readonly socket: WebSocket;
  received: number;
}

/**
 * Replays the calls of a transcript on the simulator and records the answers. A call is made when all messages recorded
 * before it have arrived.
 */
export class Replay {
  readonly #comfy: ComfySimulator;
  readonly #seen: TranscriptLine[] = [];
  readonly #connections = new Map<string, Connection>();
  /** Prompt ids of this run, by the ids in the recording. */
  readonly #ids = new Map<string, string>();
  #arrived = Promise.withResolvers<undefined>();

  constructor(comfy: ComfySimulator) {
    this.#comfy = comfy;
  }

  /** Plays one scenario and returns what was seen. Its open sockets stay open for the next scenario. */
  async play(lines: readonly TranscriptLine[], unrecorded: Unrecorded): Promise<TranscriptLine[]> {
    this.#seen.length = 0;
    const expected = new Map<string, number>();
    const opened = new Set<string>();
    let exchange = 0;
    for (const [at, line] of lines.entries()) {
      switch (line.kind) {
        case 'ws-open':
          if (opened.has(line.client)) await this.#waitForEnd(lines.slice(at + 1), line.client);
          opened.add(line.client);
          expected.set(line.client, 0);
          await this.#open(line.client, sidOf(lines, line.client));
          break;
        case 'ws-send':
          this.#connections.get(line.client)?.socket.send(JSON.stringify(line.message));
          break;
        case 'ws-recv':
          expected.set(line.client, (expected.get(line.client) ?? 0) + 1);
          break;
        case 'ws-close':
          await this.#waitFor(expected);
          await this.#close(line.client, line.code);
          break;
        case 'http':
          await this.#waitFor(expected);
          await this.#exchange(line, await unrecorded(exchange++));
          break;
      }
    }
    await this.#waitForEnds(lines);
    return this.#recorded(this.#seen);
  }

  close(): void {
    for (const { socket } of this.#connections.values()) socket.terminate();
  }

  async #open(client: string, sid: string): Promise<void> {
    const socket = new WebSocket(`${this.#comfy.url}/ws?clientId=${sid}`, {
      perMessageDeflate: false,
    });
    const connection = { client, socket, received: 0 };
    this.#connections.set(client, connection);
    this.#seen.push({ kind: 'ws-open', client });
    socket.on('message', (data: Buffer, isBinary) => this.#receive(connection, data, isBinary));
    const open = Promise.withResolvers<undefined>();
    socket.once('open', () => open.resolve(undefined));
    socket.once('error', open.reject);
    await open.promise;
  }

  async #close(client: string, code: number): Promise<void> {
    const connection = this.#connections.get(client);
    if (!connection) return;
    this.#connections.delete(client);
    const closed = this.#comfy.waitFor({ type: 'socket_close' }, { next: true });
    if (code === 1006) connection.socket.terminate();
    else connection.socket.close(code);
    await closed;
  }

  #receive(connection: Connection, data: Buffer, isBinary: boolean): void {
    if (this.#connections.get(connection.client) !== connection) return;
    connection.received++;
    const message = isBinary ? describeFrame(data) : (JSON.parse(data.toString()) as Message);
    this.#seen.push({
      kind: 'ws-recv',
      client: connection.client,
      message: this.#recorded(message),
    });
    this.#arrived.resolve(undefined);
    this.#arrived = Promise.withResolvers();
  }

  async #exchange(line: HttpLine, form: FormData | undefined): Promise<void> {
    await this.#waitForHistory(line);
    const isForeign = line.path === '/prompt' && line.status === 403;
    const response = await fetch(this.#comfy.url + this.#current(line.path), {
      method: line.method,
      ...(line.method === 'POST' ? { body: form ?? this.#current(bodyOf(line.request)) } : {}),
      headers: isForeign ? { origin: 'http://evil.example' } : {},
    });
    const body = await readBody(response);
    if (isAccepted(line.response) && isAccepted(body)) {
      this.#ids.set(line.response.prompt_id, body.prompt_id);
    }
    const headers = Object.keys(line.headers).map((name) => [
      name,
      response.headers.get(name) ?? '',
    ]);
    this.#seen.push({
      kind: 'http',
      method: line.method,
      path: line.path,
      status: response.status,
      headers: Object.fromEntries(headers) as Record<string, string>,
      response: body,
    });
  }

  /** If the recorded answer of `/history/{id}` has an entry, waits until the prompt has one here too. */
  async #waitForHistory({ path, response }: HttpLine): Promise<void> {
    const [, recordedId] = /^\/history\/(.+)$/.exec(path) ?? [];
    const promptId = this.#ids.get(recordedId ?? '');
    if (promptId === undefined || !Object.hasOwn(response as object, recordedId ?? '')) return;
    await this.#comfy.waitFor({ type: 'history', promptId });
  }

  /** A client that saw an empty queue when it reconnected had reconnected after the end of its prompt. */
  async #waitForEnd(rest: readonly TranscriptLine[], client: string): Promise<void> {
    const greeting = rest.find((line) => line.kind === 'ws-recv' && line.client === client);
    const isIdle = JSON.stringify(greeting ?? '').includes('"queue_remaining":0');
    const promptId = [...this.#ids.values()].at(-1);
    if (isIdle && promptId !== undefined) await this.#comfy.waitFor({ type: 'ended', promptId });
  }

  async #waitFor(expected: ReadonlyMap<string, number>): Promise<void> {
    for (const [client, count] of expected) {
      await this.#until(() => (this.#connections.get(client)?.received ?? count) >= count);
    }
  }

  /** Waits until each client has received the last message it received in the recording. */
  async #waitForEnds(lines: readonly TranscriptLine[]): Promise<void> {
    const last = new Map<string, string>();
    for (const line of lines) {
      if (line.kind === 'ws-recv') last.set(line.client, JSON.stringify(line.message));
    }
    for (const [client, message] of last) {
      await this.#until(() =>
        this.#seen.some(
          (line) =>
            line.kind === 'ws-recv' &&
            line.client === client &&
            JSON.stringify(this.#recorded(line.message)) === message,
        ),
      );
    }
  }

  /** Returns after the timeout as well; the comparison then shows what is missing. */
  async #until(condition: () => boolean): Promise<void> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const timedOut = Promise.withResolvers<undefined>();
    timeout.addEventListener('abort', () => timedOut.resolve(undefined));
    while (!condition() && !timeout.aborted) {
      await Promise.race([this.#arrived.promise, timedOut.promise]);
    }
  }

  #current(text: string): string {
    return this.#replaced(text, [...this.#ids]);
  }

  #recorded<T>(value: T): T {
    const back = [...this.#ids].map(([recorded, now]) => [now, recorded] as const);
    return JSON.parse(this.#replaced(JSON.stringify(value), back)) as T;
  }

  #replaced(text: string, pairs: readonly (readonly [string, string])[]): string {
    return pairs.reduce((current, [from, to]) => current.replaceAll(from, to), text);
  }
}

const TIMEOUT_MS = 3_000;

function sidOf(lines: readonly TranscriptLine[], client: string): string {
  const [sid] = new RegExp(`${client}-[0-9a-f-]{27}`).exec(JSON.stringify(lines)) ?? [client];
  return sid;
}

const bodyOf = (request: unknown) =>
  typeof request === 'string' ? request : JSON.stringify(request ?? {});

function isAccepted(body: unknown): body is { readonly prompt_id: string } {
  return typeof body === 'object' && body !== null && 'prompt_id' in body;
}

async function readBody(response: Response): Promise<unknown> {
  const bytes = Buffer.from(await response.arrayBuffer());
  const type = response.headers.get('content-type') ?? '';
  if (type.startsWith('application/json')) return JSON.parse(bytes.toString()) as unknown;
  return type.startsWith('text/') ? bytes.toString() : `<${bytes.length} bytes>`;
}

function describeFrame(frame: Buffer): Message {
  const event = frame.readUInt32BE(0);
  const described = { binary: true, event, header_hex: frame.subarray(0, 12).toString('hex') };
  if (event !== 4) return described;
  const end = 8 + frame.readUInt32BE(4);
  return { ...described, metadata: JSON.parse(frame.subarray(8, end).toString()) as unknown };
}
