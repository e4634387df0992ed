import fastify, { type FastifyInstance, type FastifyRequest } from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import type { Logger } from '../../log.ts';
import { addRunpodRoutes } from '../runpod/endpoint-routes.ts';
import type { RunpodContext } from '../runpod/run-routes.ts';
import { answerNotFound, errorHandler } from './answers.ts';
import { keepBodiesAsText } from './body.ts';
import { guard, limitRates } from './guards.ts';
import type { LoopShare } from './loop-share.ts';
import type { Metrics } from './metrics.ts';
import { addOperatorRoutes } from './operator-routes.ts';
import { addPageRoutes } from './page-routes.ts';
import type { ApiSettings } from './settings.ts';
import { addWorkflowRoutes, type WorkflowService } from './workflow-routes.ts';

export interface ServerContext extends RunpodContext {
  readonly metrics: Metrics;
  readonly workflows: WorkflowService;
  readonly share: LoopShare;
  readonly log: Logger;
  readonly version: string;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Does not wait behind other requests: the platform gives up a worker whose health checks are slow. */
    readonly isUrgent?: boolean;
  }
}

/** The server with all routes; it does not listen yet. */
export async function createServer(context: ServerContext): Promise<FastifyInstance> {
  const { settings, log, version, share } = context;
  const app = fastify({
    forceCloseConnections: 'idle',
    requestTimeout: SLOWEST_REQUEST_MS,
    frameworkErrors: errorHandler(log),
    routerOptions: { maxParamLength: 300, ignoreTrailingSlash: true, ignoreDuplicateSlashes: true },
  });
  app.setErrorHandler(errorHandler(log));
  app.setNotFoundHandler(answerNotFound);
  app.setSerializerCompiler(serializerCompiler);
  app.setValidatorCompiler((route) =>
    route.httpPart === 'body'
      ? (value: unknown) => ({ value }) // bodies are text; each operation parses its own
      : validatorCompiler(route as Parameters<typeof validatorCompiler>[0]),
  );
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
  if (settings.rateLimits) await limitRates(app);
  await describeApi(app, { version, hasKey: settings.key !== undefined });
  addRunpodRoutes(app, context);
  await app.register(
    (scope, _options, done) => {
      scope.addHook('onRoute', (route) => {
        route.schema = { ...route.schema, hide: true }; // the documentation shows these routes once
      });
      addRunpodRoutes(scope, context);
      done();
    },
    { prefix: '/v2/:endpointId' },
  );
  addOperatorRoutes(app, context);
  addWorkflowRoutes(app, context.workflows);
  await addPageRoutes(app);
  return app;
}

function inTurn(request: FastifyRequest, share: LoopShare, done: () => void): void {
  if (request.routeOptions.config.isUrgent) done();
  else void share.run(done);
}

/** `/openapi.json`, and `/docs` to read and try it. Must be called before the routes are added. */
async function describeApi(
  app: FastifyInstance,
  { version, hasKey }: { readonly version: string; readonly hasKey: boolean },
): Promise<void> {
  const [{ default: swagger }, { default: swaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ]);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'comfyui-worker', version, description: ABOUT },
      servers: [{ url: '/' }, { url: '/v2/local', description: 'As on RunPod; any id will do' }],
      ...(hasKey && {
        components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
        security: [{ key: [] }],
      }),
    },
    transform: jsonSchemaTransform,
  });
  await app.register(async (open) => {
    open.addHook('onRoute', (route) => {
      route.config = { ...route.config, isPublic: true };
    });
    await open.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: true,
      uiConfig: { tryItOutEnabled: true, docExpansion: 'list' },
    });
    open.get('/openapi.json', { schema: { hide: true } }, () => app.swagger());
  });
}

/** Must come before the guards: the preflight requests of browsers carry no key. */
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

/** Replaces the content type of every request, because the framework would refuse types it cannot parse. */
const JSON_TYPE = 'application/json';

/** Time for sending a body. */
const SLOWEST_REQUEST_MS = 300_000;

const ABOUT =
  'Runs ComfyUI workflows, as a RunPod endpoint does: clients of RunPod work unchanged. Every operation is also under /v2/{any id}.';
