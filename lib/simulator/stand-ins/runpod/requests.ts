import { performance } from 'node:perf_hooks';
import type {
  IncomingHttpHeaders,
  IncomingMessage,
  OutgoingHttpHeaders,
  ServerResponse,
} from 'node:http';
import { JsonText } from '../../../json.ts';

/** The routes a worker uses, and then those of clients. */
const ROUTES = [
  'job-take',
  'job-take-batch',
  'job-stop',
  'job-done',
  'job-stream',
  'ping',
  'run',
  'runsync',
  'status',
  'status-sync',
  'cancel',
  'health',
] as const;
export type Route = (typeof ROUTES)[number];

/** A request as it came in. What happened to it is filled in when it is answered. */
export interface RecordedRequest {
  /** `performance.now()` when the whole request had come in. */
  readonly at: number;
  readonly route: Route;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: IncomingHttpHeaders;
  /** Path parts after the route: worker and job of worker routes, the job of client routes. */
  readonly ids: readonly string[];
  /** Empty when bodies are not kept. */
  readonly bodyText: string;
  readonly bodyBytes: number;
  /** The body as JSON, whatever its media type says; undefined when it is none, or bodies are not kept. */
  readonly body: unknown;
  answeredAt?: number;
  status?: number;
  /** The other side closed the connection before there was an answer. */
  abandoned?: true;
}

/** Reads a request whole. Undefined when its path is none of {@link ROUTES}. */
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

/** What is remembered of a request; without bodies, ten thousand of them weigh little. */
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

/** Python also posts bare `NaN`; what is no JSON at all is undefined. */
function maybeJson(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JsonText.parse(text).value();
  } catch {
    return undefined;
  }
}

/** The answer to one request; it can be given once, and only while somebody still listens. */
export class Reply {
  readonly #response: ServerResponse;
  readonly #whenAnswered: (status: number) => void;
  #lost = false;

  constructor(response: ServerResponse, whenAnswered: (status: number) => void) {
    this.#response = response;
    this.#whenAnswered = whenAnswered;
  }

  /** False once the other side has gone, or an answer was given. */
  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  /** From now on an answer is thrown away, and the connection with it. */
  lose(): void {
    this.#lost = true;
  }

  /** Answers JSON text. False when nobody listens any more. */
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

  /** Calls back when the connection ended: `delivered` tells whether the whole answer went out before. */
  onClose(listener: (delivered: boolean) => void): void {
    this.#response.once('close', () => listener(this.#response.writableFinished));
  }
}

/**
 * What goes wrong with a request:
 * - `{status, text, headers}` is answered instead, and nothing else happens; `delayMs` before it.
 * - `{delayMs}` alone answers late, but properly.
 * - `reset` tears the connection down; the platform has not noticed the request.
 * - `lose-answer` does as asked, and tears the connection down instead of answering.
 * - `hang` never answers.
 */
export type Fault = Answer | { readonly delayMs: number } | 'reset' | 'lose-answer' | 'hang';

interface Answer {
  readonly status: number;
  readonly text?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

type Decide = (request: RecordedRequest) => Fault | undefined;

/** Faults switched on, by route. The first rule that has a fault for a request decides. */
export class Faults {
  readonly #rules = new Set<Decide>();

  /** The next `times` requests of a route go wrong; queued behind those already arranged. */
  next(route: Route, fault: Fault, times = 1): void {
    let left = times;
    const rule: Decide = (request) => {
      if (request.route !== route) return undefined;
      if (--left <= 0) this.#rules.delete(rule);
      return fault;
    };
    if (times > 0) this.#rules.add(rule);
  }

  /** Goes wrong whenever `decide` says so, until the returned function is called. */
  whenever(decide: Decide): () => void {
    const rule: Decide = (request) => decide(request);
    this.#rules.add(rule);
    return () => void this.#rules.delete(rule);
  }

  of(request: RecordedRequest): Fault | undefined {
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
