import { isIPv6, type AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { systemClock, type Clock } from '../../clock.ts';
import { describeError, errnoOf, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { settlesWithin } from '../../waiting.ts';
import type { LocalQueue } from '../../queues/local/local-queue.ts';
import { MemoryJobStore } from '../jobs/memory-job-store.ts';
import { Webhooks } from '../runpod/webhooks.ts';
import { ComfyWatch, type ApiWorker } from './api-worker.ts';
import { LoopShare } from './loop-share.ts';
import { Metrics } from './metrics.ts';
import { createServer } from './server.ts';
import type { ApiSettings } from './settings.ts';
import { NO_WORKFLOWS, type WorkflowService } from './workflow-routes.ts';

export interface ApiOptions {
  /** The queue from which the worker takes jobs. */
  readonly queue: LocalQueue;
  readonly settings: ApiSettings;
  readonly worker: ApiWorker;
  readonly log: Logger;
  readonly version: string;
  /** Shared with the worker, which records the phases of its jobs. */
  readonly metrics?: Metrics;
  /** Default: lists none and converts nothing. */
  readonly workflows?: WorkflowService;
  readonly clock?: Clock;
  /** Limits how much of the event loop requests use. */
  readonly share?: LoopShare;
}

/** A running API. Disposing it answers all waiting requests and forgets all jobs. */
export interface Api extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  /** Refuses new jobs and fails those that have not started. Called before the worker stops. */
  stop(): void;
}

/**
 * Serves RunPod's API, the web page and the routes for operators.
 * @throws WorkerError `config.invalid` when it cannot listen.
 */
export async function startApi(options: ApiOptions): Promise<Api> {
  const { settings, log, worker, clock = systemClock, metrics = new Metrics() } = options;
  const { workflows = NO_WORKFLOWS, share = new LoopShare() } = options;
  const webhooks = new Webhooks({
    clock,
    log,
    allowPrivate: settings.allowPrivateWebhooks,
    onSent: (outcome) => metrics.recordWebhook(outcome),
  });
  const { workerId } = worker;
  const limits = settings.memory;
  const store = new MemoryJobStore({ queue: options.queue, limits, workerId, clock, log });
  const comfy = new ComfyWatch(worker, clock);
  metrics.connect({
    counts: () => store.counts(),
    recordBytes: () => store.bytes(),
    undelivered: () => worker.undelivered(),
    comfyIsUp: () => comfy.isUp(),
  });
  const shared = { store, webhooks, comfy, clock, metrics, workflows, share };
  const app = await createServer({ ...options, ...shared });
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

/** A URL for this machine, also when the server listens on all addresses. */
function urlOf(app: FastifyInstance, host: string): string {
  const { port } = app.server.address() as AddressInfo;
  const shown = /^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host;
  return `http://${isIPv6(shown) ? `[${shown}]` : shown}:${port}`;
}

function cannotListen(cause: unknown, address: string): WorkerError {
  const inUse = errnoOf(cause) === 'EADDRINUSE';
  const why = inUse ? 'another program does' : describeError(cause);
  const text = `The local API cannot listen on ${address}: ${why}; choose another with API_PORT or --rp_api_port`;
  return new WorkerError('config.invalid', text, { cause });
}

/** Clients get a moment to read their answers. */
async function close(app: FastifyInstance, clock: Clock): Promise<void> {
  const closed = app.close();
  if (!(await settlesWithin(closed, { ms: LAST_ANSWERS_MS, clock }))) {
    app.server.closeAllConnections();
  }
  await closed;
}

const LAST_ANSWERS_MS = 2000;
