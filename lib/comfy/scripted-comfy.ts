import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';

/**
 * A stand-in for ComfyUI whose answers a test scripts, including wrong ones. Without scripts it accepts prompts and keeps
 * a queue and a history, but ends no prompt by itself.
 */
export class ScriptedComfy implements AsyncDisposable {
  readonly requests: ScriptedRequest[] = [];
  readonly running: string[] = [];
  readonly pending: string[] = [];
  /** Records by prompt id, as JSON text. */
  readonly history = new Map<string, string>();
  readonly sockets = new Set<WebSocket>();
  /** Client ids in the order in which the sockets were opened. */
  readonly clientIds: string[] = [];
  hangUpAfterHandshake = false;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #scripts = new Map<string, Script>();
  readonly #expected: {
    readonly route: string;
    readonly found: (request: ScriptedRequest) => void;
  }[] = [];

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
    this.#webSockets = new WebSocketServer({ noServer: true });
    this.#server.on('upgrade', (request, socket, head) => {
      if (this.#scripts.has('GET /ws')) {
        socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.#greet(webSocket, request),
      );
    });
  }

  static async start(port = 0): Promise<ScriptedComfy> {
    const comfy = new ScriptedComfy();
    comfy.#server.listen(port, '127.0.0.1');
    await once(comfy.#server, 'listening');
    return comfy;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#webSockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, 'close');
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Answers a route (`POST /prompt`, `GET /history`) with `script` from now on. A script for `GET /ws` refuses with 404. */
  script(route: string, script: Script): void {
    this.#scripts.set(route, script);
  }

  /** Gives the route its default behaviour back. */
  unscript(route: string): void {
    this.#scripts.delete(route);
  }

  /** Number of requests to a route. */
  count(route: string): number {
    return this.requests.filter((request) => request.route === route).length;
  }

  /** The next request to a route, once it has been answered. */
  next(route: string): Promise<ScriptedRequest> {
    return new Promise((found) => this.#expected.push({ route, found }));
  }

  /** The next websocket that opens. */
  nextSocket(): Promise<unknown> {
    return once(this.#webSockets, 'connection');
  }

  /** Leaves the open websockets open, but reads nothing from them and sends nothing any more. */
  stall(): void {
    for (const socket of this.sockets) socket.pause();
    this.sockets.clear();
  }

  /** Sends an event to every socket. */
  tell(type: string, data: unknown): void {
    this.tellText(JSON.stringify({ type, data }));
  }

  tellText(frame: string | Buffer): void {
    for (const socket of this.sockets) socket.send(frame);
  }

  /** Moves a prompt from the queue to the history without sending an event. */
  record(
    promptId: string,
    record: { outputs?: unknown; messages?: unknown; status_str?: string } = {},
  ): void {
    const { outputs = {}, messages = [['execution_success', {}]], status_str = 'success' } = record;
    this.history.set(promptId, JSON.stringify({ outputs, status: { status_str, messages } }));
    this.remove(promptId);
  }

  /** Ends a prompt as ComfyUI does: history first, then the events. */
  end(promptId: string, record: Parameters<ScriptedComfy['record']>[1] = {}): void {
    this.record(promptId, record);
    this.tell('status', { status: { exec_info: { queue_remaining: this.running.length } } });
    this.tell('executing', { node: null, prompt_id: promptId });
  }

  remove(promptId: string): void {
    for (const list of [this.running, this.pending]) {
      const at = list.indexOf(promptId);
      if (at >= 0) list.splice(at, 1);
    }
  }

  #greet(socket: WebSocket, request: IncomingMessage): void {
    this.clientIds.push(new URL(request.url ?? '', this.url).searchParams.get('clientId') ?? '');
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
    socket.send(JSON.stringify({ type: 'status', data: { status: { exec_info: {} } } }));
    this.#webSockets.emit('connection', socket);
    if (this.hangUpAfterHandshake) socket.terminate();
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(message);
    this.requests.push(request);
    const script = this.#scripts.get(request.route) ?? ((asked) => this.#defaultReply(asked));
    const reply = await script(request, message);
    if (reply) {
      response.writeHead(reply.status ?? 200, reply.headers ?? {});
      response.end(reply.body ?? '');
      await once(response, 'close');
    }
    this.#found(request);
  }

  #found(request: ScriptedRequest): void {
    const at = this.#expected.findIndex(({ route }) => route === request.route);
    if (at >= 0) this.#expected.splice(at, 1)[0]?.found(request);
  }

  #defaultReply({ route, path, body }: ScriptedRequest): Reply {
    switch (route) {
      case 'GET /':
        return { body: 'a page' };
      case 'POST /prompt':
        return this.#accept(body.toString());
      case 'GET /queue':
        return {
          body: JSON.stringify({
            queue_running: items(this.running),
            queue_pending: items(this.pending),
          }),
        };
      case 'POST /queue':
        (JSON.parse(body.toString()) as { delete: string[] }).delete.forEach((id) =>
          this.#removePending(id),
        );
        return {};
      case 'GET /history':
        return { body: this.#historyOf(decodeURIComponent(path.split('/')[2] ?? '')) };
      case 'GET /object_info':
        return { body: '{}' };
      case 'POST /interrupt':
        return {};
      default:
        return { status: 404 };
    }
  }

  #accept(body: string): Reply {
    const promptId = String((JSON.parse(body) as { prompt_id: unknown }).prompt_id);
    this.running.push(promptId);
    return { body: JSON.stringify({ prompt_id: promptId, number: 0, node_errors: {} }) };
  }

  #removePending(promptId: string): void {
    if (this.pending.includes(promptId)) this.remove(promptId);
  }

  #historyOf(promptId: string): string {
    const record = this.history.get(promptId);
    return record === undefined ? '{}' : `{${JSON.stringify(promptId)}:${record}}`;
  }
}

export interface ScriptedRequest {
  /** Method and first part of the path. */
  readonly route: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export interface Reply {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

/** Returns undefined when the test has handled the connection itself, for example destroyed it. */
export type Script = (
  request: ScriptedRequest,
  message: IncomingMessage,
) => Reply | undefined | Promise<Reply | undefined>;

async function readRequest(message: IncomingMessage): Promise<ScriptedRequest> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  const path = message.url ?? '';
  const route = `${message.method ?? ''} /${/^\/(\w*)/.exec(path)?.[1] ?? ''}`;
  return { route, path, headers: message.headers, body: Buffer.concat(chunks) };
}

function items(promptIds: readonly string[]): unknown[] {
  return promptIds.map((promptId, number) => [number, promptId, {}, {}, []]);
}
