import { isIPv6, type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { systemClock, type Clock } from '../../clock.ts';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { settlesWithin } from '../../waiting.ts';
import type { LocalQueue } from '../../queues/local/local-queue.ts';
import { ComfyWatch, type ApiWorker } from './api-worker.ts';
import { healthOf } from './health.ts';
import { JobStore } from '../jobs/job-store.ts';
import { LoopShare } from './loop-share.ts';
import { Metrics } from './metrics.ts';
import { createServer } from './server.ts';
import type { ApiSettings } from './settings.ts';
import { Webhooks } from '../runpod/webhooks.ts';
import type { ListWorkflows } from './workflow-routes.ts';

export interface ApiOptions {
  /** Where jobs go; the worker takes them from the same one. */
  readonly queue: LocalQueue;
  readonly settings: ApiSettings;
  readonly worker: ApiWorker;
  readonly log: Logger;
  readonly version: string;
  /** Whoever runs the jobs reports their phases to the same one. */
  readonly metrics?: Metrics;
  /** Workflows that jobs may call by name; none when left out. */
  readonly listWorkflows?: ListWorkflows;
  readonly clock?: Clock;
  /** How much of the event loop requests may take. */
  readonly share?: LoopShare;
}

/** The API. Disposed, it answers whoever waits and closes; what it remembered is gone. */
export interface Api extends AsyncDisposable {
  /** Base of all paths, without a slash at its end. */
  readonly url: string;
  /** Takes no new jobs; those that nobody has begun fail, and their callers are told. To be called before the worker stops. */
  stop(): void;
}

/**
 * Serves jobs as RunPod does.
 * @throws WorkerError `config.invalid` when it cannot listen.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { settings, log, worker, clock = systemClock, metrics = new Metrics() } = options;
  const { listWorkflows = () => Promise.resolve([]), share = new LoopShare() } = options;
  const webhooks = new Webhooks({
    clock,
    log,
    allowPrivate: settings.allowPrivateWebhooks,
    onSent: (outcome) => metrics.recordWebhook(outcome),
  });
  const onEnd = (job: Parameters<typeof webhooks.send>[0]) => webhooks.send(job);
  const { workerId } = worker;
  const store = new JobStore({ queue: options.queue, settings, workerId, clock, log, onEnd });
  const comfy = new ComfyWatch(worker, clock);
  metrics.connect({
    counts: () => store.counts,
    recordBytes: () => store.bytes,
    undelivered: () => worker.undelivered(),
    comfyIsUp: () => comfy.isUp(),
  });
  const health = () => healthOf(store.counts, { places: worker.places, comfy });
  const app = await createServer({
    ...options,
    store,
    clock,
    health,
    comfy,
    metrics,
    listWorkflows,
    share,
  });
  const url = await listen(app, settings);
  log.info({ url, docs: `${url}/docs` }, 'The local API is ready');
  return {
    url,
    stop: () => store.stop(),
    [Symbol.asyncDispose]: async () => {
      store.close();
      await webhooks[Symbol.asyncDispose]();
      await close(app, clock);
    },
  };
}

async function listen(app: FastifyInstance, { host, port }: ApiSettings): Promise<string> {
  try {
    await app.listen({ host, port });
  } catch (cause) {
    throw cannotListen(cause, `${host}:${port}`);
  }
  return urlOf(app, host);
}

/** Where this machine finds it, also when it listens on all addresses. */
function urlOf(app: FastifyInstance, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  const shown = /^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host;
  return `http://${isIPv6(shown) ? `[${shown}]` : shown}:${port}`;
}

function cannotListen(cause: unknown, place: string): WorkerError {
  const inUse = errnoOf(cause) === 'EADDRINUSE';
  const why = inUse ? 'another program does' : describeError(cause);
  const text = `The local API cannot listen on ${place}: ${why}; choose another with API_PORT or --rp_api_port`;
  return new WorkerError('config.invalid', text, { cause });
}

/** Answers on their way get a moment to be read. */
async function close(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = app.close();
  if (!(await settlesWithin(closed, { ms: LAST_ANSWERS_MS, clock }))) {
    app.server.closeAllConnections();
  }
  await closed;
}

const LAST_ANSWERS_MS = 2000;
