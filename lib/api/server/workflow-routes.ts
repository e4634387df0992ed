import type { FastifyInstance } from 'fastify';

/** Tells which workflows jobs may call by name. */
export type ListWorkflows = () => Promise<readonly object[]>;

/** `GET /workflows`: names, titles, and a JSON Schema of the parameters of each. */
export function addWorkflowRoutes(
  app: FastifyInstance,
  { listWorkflows }: { readonly listWorkflows: ListWorkflows },
): void {
  const schema = { summary: 'The workflows that jobs may call by name, with what they ask for' };
  app.get('/workflows', { schema }, async () => ({ workflows: await listWorkflows() }));
}
