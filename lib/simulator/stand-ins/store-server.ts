import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Listener } from './listener.ts';

/** A request that has been read to its end. */
export interface StoreRequest {
  readonly method: string;
  /** As on the request line, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** As on the request line, without `?`. */
  readonly rawQuery: string;
  readonly headers: IncomingHttpHeaders;
  /** Empty when the store is forgetful. */
  readonly body: Buffer;
  /** Bytes of the body. */
  readonly size: number;
  /** SHA-256 of the body, in hexadecimal digits. */
  readonly sha256: string;
}

export interface StoreAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

type StoreFault =
  | ({ readonly kind: 'refuse' } & StoreAnswer)
  /** The connection is reset after the request has been read. */
  | { readonly kind: 'reset' }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' };

/** A request and the status of its answer; 0 without an answer. */
interface StoreRecord extends Pick<StoreRequest, 'method' | 'path' | 'query' | 'headers' | 'size'> {
  readonly status: number;
}

type RequestFilter = (request: StoreRequest) => boolean;

/** The shared part of all stand-ins for stores that take files over HTTP. */
export interface StoreServer extends AsyncDisposable {
  readonly url: string;
  /** `host:port` */
  readonly host: string;
  /** In order of arrival. */
  readonly requests: readonly StoreRecord[];
  /** Connections opened so far. */
  connectionCount(): number;
  /** The next `times` requests (default 1) that match get this fault instead of the store's answer. */
  failNext(fault: StoreFault, times?: number, matches?: RequestFilter): void;
  /** Resolves when a request has been read, before it is answered. */
  nextRequest(signal?: AbortSignal): Promise<void>;
}

export interface StoreServerOptions {
  /** Bodies are counted and hashed, but not kept. */
  readonly forgetful?: boolean;
  readonly answer: (request: StoreRequest) => StoreAnswer | Promise<StoreAnswer>;
}

export async function startStoreServer(options: StoreServerOptions): Promise<StoreServer> {
  const requests: StoreRecord[] = [];
  const faults: { readonly fault: StoreFault; readonly matches: RequestFilter }[] = [];
  const arrivals = new EventTarget();

  const serve = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await readRequest(message, options.forgetful ?? false);
    const { method, path, query, headers, size } = request;
    const record = { method, path, query, headers, size, status: 0 };
    requests.push(record);
    response.once('finish', () => (record.status = response.statusCode));
    arrivals.dispatchEvent(new Event('request'));
    const at = faults.findIndex(({ matches }) => matches(request));
    const fault = at < 0 ? undefined : faults.splice(at, 1)[0]?.fault;
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'reset') {
      response.socket?.resetAndDestroy();
      return;
    }
    const answer = fault ?? (await options.answer(request));
    response
      .writeHead(answer.status, answer.headers)
      .end(method === 'HEAD' ? undefined : answer.body);
  };

  const listener = await Listener.start((message, response) => {
    // If the client has disconnected, there is nobody to answer.
    serve(message, response).catch(() => response.destroy());
  });
  return {
    url: listener.url,
    host: new URL(listener.url).host,
    requests,
    connectionCount: () => listener.connections,
    failNext: (fault, times = 1, matches = () => true) => {
      for (let time = 0; time < times; time++) faults.push({ fault, matches });
    },
    nextRequest: async (signal) => {
      await once(arrivals, 'request', signal ? { signal } : {});
    },
    [Symbol.asyncDispose]: () => listener.down(),
  };
}

async function readRequest(message: IncomingMessage, forgetful: boolean): Promise<StoreRequest> {
  const { method = '', headers } = message;
  const [path = '', rawQuery = ''] = (message.url ?? '').split('?', 2);
  const hash = createHash('sha256');
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    hash.update(chunk);
    size += chunk.length;
    if (!forgetful) chunks.push(chunk);
  }
  const query = new URLSearchParams(rawQuery);
  const sha256 = hash.digest('hex');
  return { method, path, query, rawQuery, headers, body: Buffer.concat(chunks), size, sha256 };
}
