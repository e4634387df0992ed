import { performance } from 'node:perf_hooks';
import type {
  IncomingHttpHeaders,
  IncomingMessage,
  OutgoingHttpHeaders,
  ServerResponse,
} from 'node:http';
import { JsonText } from '../../../json.ts';

/** First the routes for workers, then those for clients. */
const ROUTES = [
  'job-take',
  'job-take-batch',
  'job-stop',
  'job-done',
  'ping',
  'run',
  'runsync',
  'status',
  'status-sync',
  'cancel',
  'health',
] as const;
export type Route = (typeof ROUTES)[number];

/** A request. The last three fields are filled in when it is answered or abandoned. */
export interface RecordedRequest {
  /** `performance.now()` when the whole body had been read. */
  readonly at: number;
  readonly route: Route;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** Path segments after the route: worker and job on worker routes, the job on client routes. */
  readonly ids: readonly string[];
  /** Empty when bodies are not kept. */
  readonly bodyText: string;
  readonly bodyBytes: number;
  /** The body as JSON, with any media type. Undefined when it is not JSON, or bodies are not kept. */
  readonly body: unknown;
  answeredAt?: number;
  status?: number;
  /** The client closed the connection before it was answered. */
  abandoned?: true;
}

/** Reads a request to its end. Undefined when its path is none of {@link ROUTES}. */
export async function receive(message: IncomingMessage): Promise<RecordedRequest | undefined> {
  const target = parseTarget(message.url ?? '/');
  const bodyText = await textOf(message);
  if (!target) return undefined;
  return {
    ...target,
    at: performance.now(),
    method: message.method ?? 'GET',
    headers: message.headers,
    bodyText,
    bodyBytes: Buffer.byteLength(bodyText),
    body: maybeJson(bodyText),
  };
}

/** The record of a request. Without bodies, thousands of records stay small. */
export function toRecord(request: RecordedRequest, keepBodies: boolean): RecordedRequest {
  return keepBodies ? { ...request } : { ...request, headers: {}, bodyText: '', body: undefined };
}

/**
 * `/v2/<endpoint>/<route>/<id>/<id>?a=b`. The Python SDK appends parameters with `&` even where there is no `?`, so the
 * path ends at whichever comes first.
 */
function parseTarget(url: string) {
  const [path = ''] = url.split(/[?&]/, 1);
  const [, version, , name, ...ids] = path.split('/');
  const route = ROUTES.find((known) => known === name);
  if (version !== 'v2' || !route) return undefined;
  const query = Object.fromEntries(new URLSearchParams(url.slice(path.length + 1)));
  return { path, route, query, ids: ids.map(decodeURIComponent) };
}

async function textOf(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Undefined for text that is not JSON. Bare `NaN` is accepted, because Python posts it. */
function maybeJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JsonText.parse(text).value();
  } catch {
    return undefined;
  }
}

/** The answer to one request. It can be sent once, and only while the client is connected. */
export class Reply {
  readonly #response: ServerResponse;
  readonly #whenAnswered: (status: number) => void;
  #lost = false;

  constructor(response: ServerResponse, whenAnswered: (status: number) => void) {
    this.#response = response;
    this.#whenAnswered = whenAnswered;
  }

  /** False once the client has disconnected or an answer was sent. */
  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  /** From now on an answer is dropped and the connection is reset instead. */
  lose(): void {
    this.#lost = true;
  }

  /** Sends JSON text. False when the client has disconnected. */
  json(text: string, status = 200): boolean {
    return this.text(text, status, { 'content-type': 'application/json' });
  }

  text(text: string, status: number, headers: OutgoingHttpHeaders = {}): boolean {
    if (!this.open) return false;
    if (this.#lost) {
      this.reset();
      return false;
    }
    const body = status === 204 ? '' : text;
    this.#response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
    this.#response.end(body);
    this.#whenAnswered(status);
    return true;
  }

  nothing(): boolean {
    return this.text('', 204);
  }

  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }

  /** Calls `listener` when the connection closes; `delivered` is true if the whole answer was sent before. */
  onClose(listener: (delivered: boolean) => void): void {
    this.#response.once('close', () => listener(this.#response.writableFinished));
  }
}

/**
 * How a request fails:
 * - `{status, text, headers}` is sent instead, after `delayMs`; the request has no effect.
 * - `{delayMs}` alone delays the normal answer.
 * - `reset` resets the connection; the request has no effect.
 * - `lose-answer` handles the request, then resets the connection instead of answering.
 * - `hang` never answers.
 */
export type RequestFault = Answer | { readonly delayMs: number } | 'reset' | 'lose-answer' | 'hang';

interface Answer {
  readonly status: number;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

type Decide = (request: RecordedRequest) => RequestFault | undefined;

/** Active faults. The first rule that returns a fault for a request decides. */
export class RequestFaults {
  readonly #rules = new Set<Decide>();

  /** The next `times` requests of a route fail, after the faults set earlier for it are used up. */
  next(route: Route, fault: RequestFault, times = 1): void {
    let left = times;
    const rule: Decide = (request) => {
      if (request.route !== route) return undefined;
      if (--left <= 0) this.#rules.delete(rule);
      return fault;
    };
    if (times > 0) this.#rules.add(rule);
  }

  /** Every request for which `decide` returns a fault fails, until the returned function is called. */
  whenever(decide: Decide): () => void {
    const rule: Decide = (request) => decide(request);
    this.#rules.add(rule);
    return () => void this.#rules.delete(rule);
  }

  of(request: RecordedRequest): RequestFault | undefined {
    for (const rule of this.#rules) {
      const fault = rule(request);
      if (fault) return fault;
    }
    return undefined;
  }

  clear(): void {
    this.#rules.clear();
  }
}
