import type { FastifyInstance } from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';

/** Requests are checked and answers described by zod schemas. Bodies are text until the operation reads them itself. */
export function useSchemas(app: FastifyInstance): void {
  app.setSerializerCompiler(serializerCompiler);
  app.setValidatorCompiler((route) =>
    route.httpPart === 'body'
      ? (value: unknown) => ({ value })
      : validatorCompiler(route as Parameters<typeof validatorCompiler>[0]),
  );
}

export interface DescribeOptions {
  readonly version: string;
  /** Whether a key is demanded. */
  readonly hasKey: boolean;
}

/** `/openapi.json`, and `/docs` to read and try it. To be called before the routes are added. */
export async function describeApi(
  app: FastifyInstance,
  { version, hasKey }: DescribeOptions,
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

const ABOUT =
  'Runs ComfyUI workflows, as a RunPod endpoint does: clients of RunPod work unchanged. Every operation is also under /v2/{any id}.';
