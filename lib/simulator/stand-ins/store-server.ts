import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Listener } from './listener.ts';

/** A request that has been read whole. */
export interface StoreRequest {
  readonly method: string;
  /** As on the request line, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Empty when the store is forgetful. */
  readonly body: Buffer;
  readonly size: number;
  /** Of the body, in hexadecimal digits. */
  readonly sha256: string;
}

export interface StoreAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

type StoreFault =
  | ({ readonly kind: 'refuse' } & StoreAnswer)
  /** The connection is reset when the request has been read. */
  | { readonly kind: 'reset' }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' };

/** A request as it came, with what was answered; 0 where nothing was. */
interface StoreRecord extends Pick<StoreRequest, 'method' | 'path' | 'query' | 'headers' | 'size'> {
  readonly status: number;
}

/** What the stand-ins for stores that take files over HTTP have in common. */
export interface StoreServer extends AsyncDisposable {
  readonly url: string;
  /** `host:port` */
  readonly host: string;
  readonly requests: readonly StoreRecord[];
  /** The next requests meet this instead of the store. */
  failNext(fault: StoreFault, times?: number): void;
  /** Resolves when a request has been read, before it is answered. */
  nextRequest(signal?: AbortSignal): Promise<void>;
}

export interface StoreServerOptions {
  /** Bodies are counted and hashed, and not kept. */
  readonly forgetful?: boolean;
  readonly answer: (request: StoreRequest) => StoreAnswer | Promise<StoreAnswer>;
}

export async function startStoreServer(options: StoreServerOptions): Promise<StoreServer> {
  const store = new Store(options);
  const listener = await Listener.start((request, response) => {
    // A client that goes away in the middle has nobody left to answer.
    store.serve(request, response).catch(() => response.destroy());
  });
  return {
    url: listener.url,
    host: new URL(listener.url).host,
    requests: store.records,
    failNext: (fault, times = 1) => store.faults.push(...Array<StoreFault>(times).fill(fault)),
    nextRequest: async (signal) => {
      await once(store.arrivals, 'request', signal ? { signal } : {});
    },
    [Symbol.asyncDispose]: () => listener.down(),
  };
}

class Store {
  readonly records: StoreRecord[] = [];
  readonly faults: StoreFault[] = [];
  readonly arrivals = new EventTarget();
  readonly #options: StoreServerOptions;

  constructor(options: StoreServerOptions) {
    this.#options = options;
  }

  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await read(message, this.#options.forgetful ?? false);
    const { method, path, query, headers, size } = request;
    const record = { method, path, query, headers, size, status: 0 };
    this.records.push(record);
    response.once('finish', () => (record.status = response.statusCode));
    this.arrivals.dispatchEvent(new Event('request'));
    const fault = this.faults.shift();
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') response.socket?.resetAndDestroy();
    else send(fault ?? (await this.#options.answer(request)), response, method);
  }
}

async function read(message: IncomingMessage, forgetful: boolean): Promise<StoreRequest> {
  const { method = '', headers } = message;
  const [path = '', query] = (message.url ?? '').split('?', 2);
  const hash = createHash('sha256');
  const pieces: Buffer[] = [];
  let size = 0;
  for await (const piece of message as AsyncIterable<Buffer>) {
    hash.update(piece);
    size += piece.length;
    if (!forgetful) pieces.push(piece);
  }
  const body = Buffer.concat(pieces);
  const sha256 = hash.digest('hex');
  return { method, path, query: new URLSearchParams(query), headers, body, size, sha256 };
}

function send({ status, headers, body }: StoreAnswer, response: ServerResponse, method: string) {
  response.writeHead(status, headers).end(method === 'HEAD' ? undefined : body);
}
