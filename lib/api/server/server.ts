import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import type { Logger } from '../../log.ts';
import { answerNotFound, errorHandler } from './answers.ts';
import type { ComfyWatch } from './api-worker.ts';
import { keepBodiesAsText } from './body.ts';
import { describeApi, useSchemas } from './describe.ts';
import { addOverviewRoutes } from '../runpod/endpoint-routes.ts';
import { guard } from './guards.ts';
import { addJobRoutes } from '../runpod/job-routes.ts';
import { keepToLimits } from './limits.ts';
import type { LoopShare } from './loop-share.ts';
import type { Metrics } from './metrics.ts';
import { addOperatorRoutes } from './operator-routes.ts';
import { addPageRoutes } from './page-routes.ts';
import type { RouteParts } from '../runpod/route-parts.ts';
import { addRunRoutes } from '../runpod/run-routes.ts';
import { addWorkflowRoutes, type ListWorkflows } from './workflow-routes.ts';
import type { ApiSettings } from './settings.ts';

export interface ServerParts extends RouteParts {
  readonly settings: ApiSettings;
  readonly comfy: ComfyWatch;
  readonly metrics: Metrics;
  readonly listWorkflows: ListWorkflows;
  readonly share: LoopShare;
  readonly log: Logger;
  readonly version: string;
}

/** All routes on one server that does not listen yet. */
export async function createServer(parts: ServerParts): Promise<FastifyInstance> {
  const { settings, log, version, share } = parts;
  const app = fastify({
    forceCloseConnections: 'idle',
    requestTimeout: SLOWEST_REQUEST_MS,
    frameworkErrors: errorHandler(log),
    routerOptions: { maxParamLength: 300, ignoreTrailingSlash: true },
  });
  app.setErrorHandler(errorHandler(log));
  app.setNotFoundHandler(answerNotFound);
  useSchemas(app);
  keepBodiesAsText(app, { mostBytes: settings.memory.bytes, share });
  await allowOrigins(app, settings);
  app.addHook('onRequest', (request, _reply, done) => inTurn(request, share, done));
  app.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-content-type-options', 'nosniff');
    if (request.headers['content-type'] !== undefined) request.headers['content-type'] = JSON_TYPE;
    guard(request, settings);
    done();
  });
  app.addHook('preHandler', (request, _reply, done) => inTurn(request, share, done));
  app.addHook('onResponse', (request, reply, done) => {
    const { method, routeOptions } = request;
    const ms = Math.round(reply.elapsedTime);
    log.debug({ method, route: routeOptions.url, status: reply.statusCode, ms }, 'Answered');
    done();
  });
  if (settings.rateLimits) await keepToLimits(app);
  await describeApi(app, { version, hasKey: settings.key !== undefined });
  addEndpoint(app, parts);
  await app.register(
    hidden((scope) => addEndpoint(scope, parts)),
    { prefix: '/v2/:endpointId' },
  );
  addOperatorRoutes(app, parts);
  addWorkflowRoutes(app, parts);
  await addPageRoutes(app);
  return app;
}

/** Routes marked so do not wait behind others: whoever asks gives a worker up that does not answer soon. */
declare module 'fastify' {
  interface FastifyContextConfig {
    readonly isUrgent?: boolean;
  }
}

function inTurn(request: FastifyRequest, share: LoopShare, done: () => void): void {
  if (request.routeOptions.config.isUrgent) done();
  else void share.run(done);
}

function addEndpoint(app: FastifyInstance, parts: RouteParts): void {
  addRunRoutes(app, parts);
  addJobRoutes(app, parts);
  addOverviewRoutes(app, parts);
}

/** The same routes again: documentation shows them once. */
function hidden(addRoutes: (scope: FastifyInstance) => void) {
  return (scope: FastifyInstance, _options: object, done: () => void): void => {
    scope.addHook('onRoute', (route) => {
      route.schema = { ...route.schema, hide: true };
    });
    addRoutes(scope);
    done();
  };
}

/** Before everything else: the question whether it may ask comes from the browser, without a key. */
async function allowOrigins(app: FastifyInstance, { corsOrigins }: ApiSettings): Promise<void> {
  if (corsOrigins.length === 0) return;
  const { default: cors } = await import('@fastify/cors');
  await app.register(cors, {
    origin: corsOrigins.includes('*') ? '*' : [...corsOrigins],
    allowedHeaders: ['authorization', 'content-type'],
    exposedHeaders: ['retry-after'],
    maxAge: 600,
  });
}

/** Whatever a client says it sends: the framework would refuse what it cannot read. */
const JSON_TYPE = 'application/json';

/** Sending a body may take this long. */
const SLOWEST_REQUEST_MS = 300_000;
