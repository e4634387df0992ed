import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import { readConfig } from '../config.ts';
import { LocalQueue } from '../queues/local/local-queue.ts';
import {
  createTestLog,
  Events,
  toHandler,
  type LogLine,
  type TestHandler,
} from '../worker/test-worker.ts';
import { startWorker } from '../worker/worker.ts';
import type { LoopShare } from './server/loop-share.ts';
import { apiSettings } from './server/settings.ts';
import { startApi, type Api } from './server/start-api.ts';

/** For tests: the API with a worker behind it, on real sockets. */
export interface TestApi extends AsyncDisposable {
  readonly url: string;
  readonly api: Api;
  readonly lines: Events<LogLine>;
  call(path: string, init?: CallOptions): Promise<Answer>;
  /** `/run` with an input. @returns the id. */
  run(input: unknown, extras?: Readonly<Record<string, unknown>>): Promise<string>;
  status(jobId: string): Promise<JobBody>;
  /** The job when it has ended. */
  ended(jobId: string): Promise<JobBody>;
}

interface CallOptions {
  /** POST unless told otherwise when there is one. */
  readonly body?: unknown;
  readonly text?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly body: JobBody & Readonly<Record<string, unknown>>;
}

interface JobBody {
  readonly id: string;
  readonly status: string;
  readonly output?: unknown;
  readonly error?: string;
  readonly delayTime?: number;
  readonly executionTime?: number;
  readonly workerId?: string;
  readonly retries?: number;
  readonly stream?: readonly { readonly output: unknown }[];
}

export interface TestApiOptions {
  readonly handler: TestHandler;
  readonly environment?: Readonly<Record<string, string>>;
  /** Time as the API sees it; the worker keeps its own. */
  readonly clock?: Clock;
  readonly concurrency?: number;
  readonly capacity?: number;
  readonly comfyAnswers?: () => Promise<boolean>;
  readonly comfyDownSince?: () => number | undefined;
  readonly share?: LoopShare;
}

export async function startTestApi(options: TestApiOptions): Promise<TestApi> {
  const parts = new AsyncDisposableStack();
  const spoolDir = await mkdtemp(join(tmpdir(), 'api-test-'));
  parts.defer(() => rm(spoolDir, { recursive: true, force: true }));
  const { log, lines } = await createTestLog();
  const queue = new LocalQueue({ capacity: options.capacity ?? 1000 });
  const worker = parts.use(
    startWorker({
      queue,
      handler: toHandler(options.handler),
      log,
      slots: options.concurrency ?? 1,
      progressIntervalMs: 1,
      maxResultBytes: 200_000_000,
      posting: { timeoutMs: 1000, backlog: 32, backlogBytes: 1e9, spoolDir },
    }),
  );
  const settings = apiSettings(readConfig({ API_PORT: '0', ...options.environment }));
  const api = parts.use(
    await startApi({
      queue,
      settings,
      log,
      version: '1.2.3',
      worker: {
        workerId: 'worker-1',
        slots: options.concurrency ?? 1,
        comfyAnswers: options.comfyAnswers ?? (() => Promise.resolve(true)),
        ...(options.comfyDownSince && { comfyDownSince: options.comfyDownSince }),
        undelivered: () => worker.undelivered,
      },
      ...(options.clock ? { clock: options.clock } : {}),
      ...(options.share ? { share: options.share } : {}),
    }),
  );
  const call = caller(api.url);
  return {
    url: api.url,
    api,
    lines,
    call,
    run: async (input, extras) => (await call('/run', { body: { input, ...extras } })).body.id,
    status: async (jobId) => (await call(`/status/${jobId}`)).body,
    ended: async (jobId) => (await call(`/status-sync/${jobId}?wait=20000`)).body,
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

function caller(url: string) {
  return async (path: string, options: CallOptions = {}): Promise<Answer> => {
    const { body, text = body === undefined ? undefined : JSON.stringify(body) } = options;
    const response = await fetch(`${url}${path}`, {
      method: options.method ?? (text === undefined ? 'GET' : 'POST'),
      ...(text === undefined ? {} : { body: text }),
      headers: { 'content-type': 'application/json', ...options.headers },
      ...(options.signal ? { signal: options.signal } : {}),
    });
    const answered = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      text: answered,
      body: maybeJson(answered) as Answer['body'],
    };
  };
}

function maybeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

export interface Hooked {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly at: number;
}

/** Looks again with every turn of the event loop; the time limit of the test is the bound. */
export async function until(look: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await look())) await new Promise((resolve) => setImmediate(resolve));
}

/** Counts the turns of the event loop, and times the longest. */
export function countTurns() {
  let immediate: NodeJS.Immediate;
  let beganAt = performance.now();
  const turns = { count: 0, longestMs: 0, [Symbol.dispose]: () => clearImmediate(immediate) };
  const next = () => {
    const now = performance.now();
    turns.count++;
    turns.longestMs = Math.max(turns.longestMs, now - beganAt);
    beganAt = now;
    immediate = setImmediate(next);
  };
  next();
  return turns;
}

/** A server that webhooks are sent to, answering with one status after the other. */
export async function startHook(statuses: readonly number[] = [200]) {
  const received = new Events<Hooked>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const status = statuses[Math.min(received.all.length, statuses.length - 1)] ?? 200;
      response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
      const text = Buffer.concat(chunks).toString();
      received.add({ headers: request.headers, text, at: Date.now() });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook?token=secret`,
    received,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** A server that takes connections and says nothing, until it drops them all. */
export async function startSilent() {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket.on('error', () => undefined).resume());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const drop = () => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${port}/`,
    connections: () => sockets.size,
    drop,
    [Symbol.asyncDispose]: async () => {
      drop();
      server.close();
      await once(server, 'close');
    },
  };
}
