import { performance } from 'node:perf_hooks';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
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
