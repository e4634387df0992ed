import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  type IncomingHttpHeaders,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocketServer } from 'ws';
import {
  empty,
  internalError,
  send,
  text,
  TooLarge,
  readBody,
  sendSlowly,
  type Answer,
} from './answers.ts';
import type { AnswerFault } from '../faults.ts';
import type { ComfyProcess } from '../process.ts';
import { message, statusData } from '../prompt/prompt-events.ts';
import { cacheHeaders } from './editor-files.ts';
import { findRoute, noRoute } from './routes.ts';

export interface ListenAddress {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
}

/** ComfyUI's HTTP and websocket server (`server.py`), in front of one simulated process. */
export class ComfyServer {
  readonly #comfy: ComfyProcess;
  readonly #http: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: DEFLATE });
  readonly #connections = new Set<Socket>();

  private constructor(comfy: ComfyProcess) {
    this.#comfy = comfy;
    this.#http = createServer(
      { keepAliveTimeout: KEEP_ALIVE_MS },
      (request, response) => void this.#serve(request, response),
    );
    this.#http.on('connection', (socket) => this.#track(socket));
    this.#http.on('upgrade', (request: IncomingMessage, tcp: Socket, head: Buffer) =>
      this.#upgrade(request, tcp, head),
    );
  }

  static async start(comfy: ComfyProcess, { host, port }: ListenAddress): Promise<ComfyServer> {
    const server = new ComfyServer(comfy);
    const listening = Promise.withResolvers<undefined>();
    server.#http.once('error', listening.reject);
    server.#http.listen(port, host, () => listening.resolve(undefined));
    await listening.promise;
    comfy.serverLog.add('Starting server\n');
    comfy.serverLog.add(`To see the GUI go to: http://${host}:${server.port}`);
    return server;
  }

  get port(): number {
    return (this.#http.address() as AddressInfo).port;
  }

  /** Closes the port and all connections immediately. */
  async stop(): Promise<void> {
    const closed = Promise.withResolvers<undefined>();
    this.#http.close(() => closed.resolve(undefined));
    for (const socket of this.#connections) socket.destroy();
    await closed.promise;
  }

  #track(socket: Socket): void {
    if (this.#comfy.faults.refusesConnections) {
      socket.resetAndDestroy();
      return;
    }
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = targetOf(request);
    const name = `${request.method ?? 'GET'} ${stripApi(target.pathname)}`;
    this.#comfy.log.announce('request', { request: name });
    const fault = this.#comfy.faults.useAnswerFault(name);
    const plain =
      fault?.how === 'refuse'
        ? text(fault.status ?? 500, 'Refused on purpose')
        : await this.#answer(request, target);
    const headers = { ...cacheHeaders(target.pathname, plain.status), ...plain.headers };
    const answer = { ...plain, headers };
    await this.#send(answer, response, { fault, isView: name === 'GET /view' });
  }

  async #answer(request: IncomingMessage, target: URL): Promise<Answer> {
    if (this.#isForeign(request)) return empty(403);
    try {
      const [method, path] = [request.method ?? 'GET', target.pathname];
      const headers = request.headers as Record<string, string | undefined>;
      const found = findRoute(method, path, this.#comfy.profile);
      if (!found) return await noRoute(method, path, { comfy: this.#comfy, headers });
      const [handle, ids] = found;
      const maxBytes = this.#comfy.features.max_upload_size;
      return await handle({
        comfy: this.#comfy,
        query: target.searchParams,
        id: ids[0] ?? '',
        ids,
        headers,
        stream: () => readBody(request, maxBytes),
        body: () => buffer(readBody(request, maxBytes)),
      });
    } catch (error) {
      if (!(error instanceof TooLarge)) return internalError();
      const { olderHttp } = this.#comfy.profile;
      return text(413, olderHttp ? error.message : error.message.replace(/, actual.*/, '.'));
    }
  }

  #isForeign({ headers }: IncomingMessage): boolean {
    const isCrossSite = headers['sec-fetch-site'] === 'cross-site';
    return (isCrossSite && this.#comfy.profile.refusesCrossSite) || isForeignOrigin(headers);
  }

  async #send(
    answer: Answer,
    response: ServerResponse,
    { fault, isView }: { readonly fault: AnswerFault | undefined; readonly isView: boolean },
  ): Promise<void> {
    const typed = this.#comfy.profile.olderHttp ? withType(answer) : answer;
    if (fault?.how === 'lose') {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault?.how === 'delay') await sleep(fault.delayMs ?? 0, undefined, { ref: false });
    if (response.destroyed) return;
    const slow = isView ? this.#comfy.faults.view : undefined;
    if (fault?.how === 'break')
      await send(response, text(fault.status ?? 500, 'Broken on purpose'));
    else if (slow) await sendSlowly(response, typed, slow);
    else await send(response, typed);
  }

  #upgrade(request: IncomingMessage, tcp: Socket, head: Buffer): void {
    tcp.on('error', () => tcp.destroy());
    const target = targetOf(request);
    const refusal = this.#isForeign(request)
      ? 403
      : stripApi(target.pathname) === '/ws'
        ? this.#comfy.faults.refusedSockets
        : 404;
    if (refusal === 'reset') {
      tcp.resetAndDestroy();
    } else if (refusal !== undefined) {
      tcp.end(`HTTP/1.1 ${refusal} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
    } else {
      this.#sockets.handleUpgrade(request, tcp, head, (socket) => {
        const client = this.#comfy.sockets.add(socket, tcp, target.searchParams.get('clientId'));
        this.#comfy.log.announce('socket_open', { clientId: client.sid });
        socket.once('close', () =>
          this.#comfy.log.announce('socket_close', { clientId: client.sid }),
        );
        this.#greet(client.sid);
      });
    }
  }

  /** Sends a new socket the queue's length and, if its prompt is running, the current node. */
  #greet(sid: string): void {
    const { sockets, queue, events } = this.#comfy;
    sockets.publish(message('status', { ...statusData(queue.remaining), sid }), sid);
    const node = events.currentNodeFor(sid);
    if (node !== undefined) sockets.publish(message('executing', { node }), sid);
  }
}

/** aiohttp's default for idle connections. */
const KEEP_ALIVE_MS = 75_000;

/** Small frames are not compressed: zlib would queue each of them on the thread pool. */
const DEFLATE = { threshold: 1024, serverNoContextTakeover: true };

/** A request target that is not a valid URL counts as `/`. */
const targetOf = ({ url = '/' }: IncomingMessage) =>
  URL.parse(url, 'http://simulator') ?? new URL('http://simulator');

/** aiohttp of that time sent every response with a content type. */
const withType = (answer: Answer): Answer => ({
  ...answer,
  headers: { 'content-type': 'application/octet-stream', ...answer.headers },
});

const stripApi = (path: string) => (path.startsWith('/api/') ? path.slice('/api'.length) : path);

/**
 * Whether a request from a browser must be refused (`origin_only_middleware` in ComfyUI's `server.py`): `Host` is a
 * loopback name and `Origin` names another host. If one of them has no port, only the names are compared.
 * `Origin: null` is allowed.
 */
function isForeignOrigin({ host, origin }: IncomingHttpHeaders): boolean {
  if (!host || !origin || !URL.canParse(origin)) return false;
  const [ours, theirs] = [new URL(`http://${host}`), new URL(origin)];
  if (!isLoopback(ours.hostname) || theirs.hostname === '') return false;
  if (ours.hostname !== theirs.hostname) return true;
  return ours.port !== '' && theirs.port !== '' && ours.port !== theirs.port;
}

function isLoopback(name: string): boolean {
  return name === 'localhost' || name === '[::1]' || /^127(?:\.\d+){3}$/.test(name);
}
