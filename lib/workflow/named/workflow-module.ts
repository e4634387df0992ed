import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { describeError, WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { WorkflowFile } from './workflow-folder.ts';

/**
 * What a module of the folder exports: `input`, a zod schema of what it asks for, and `workflow`, which makes a workflow of
 * it, in either format, as an object or as JSON text. `workflow` gets the job's `AbortSignal` as `options.signal`.
 */
const ModuleSchema = z.object({
  input: z.custom<z.ZodType>(isSchema, 'must be a zod schema').optional(),
  workflow: z.custom<MakeWorkflow>((value) => typeof value === 'function', 'must be a function'),
  title: z.string().optional(),
  description: z.string().optional(),
});

type MakeWorkflow = (input: unknown, options: { readonly signal: AbortSignal }) => unknown;
export type WorkflowModule = z.infer<typeof ModuleSchema>;

/**
 * Imports the module, anew when its file has changed. What it imports itself is loaded only once.
 * @throws WorkerError `workflow.broken`
 */
export async function importWorkflow({
  name,
  path,
  version,
}: WorkflowFile): Promise<WorkflowModule> {
  lendPackages();
  const url = `${pathToFileURL(path).href}?version=${version}`;
  const exported: unknown = await import(url).catch((error: unknown) => {
    throw broken(name, `cannot be loaded: ${describeError(error)}`, error);
  });
  const parsed = ModuleSchema.safeParse({ ...(exported as object) });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path: [key], message }) => `export ${String(key)} ${message}`,
  );
  throw broken(name, problems.join(', '));
}

/**
 * @throws WorkerError `workflow.params_invalid` with a line per field, `workflow.broken` when the module fails, or the
 * signal's reason.
 */
export async function makeWorkflow(
  { name }: WorkflowFile,
  {
    module,
    params,
    signal,
  }: { readonly module: WorkflowModule; readonly params: unknown; readonly signal: AbortSignal },
): Promise<JsonText> {
  const input = module.input ? await parseParams(name, module.input, params) : params;
  try {
    const made = await Promise.race([module.workflow(input, { signal }), aborted(signal)]);
    return JsonText.parse(typeof made === 'string' ? made : toJson(made));
  } catch (error) {
    signal.throwIfAborted();
    throw broken(name, `failed: ${describeError(error)}`, error);
  }
}

async function parseParams(name: string, schema: z.ZodType, params: unknown): Promise<unknown> {
  const parsed = await schema.safeParseAsync(params);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path, message }) => `${['params', ...path].join('.')}: ${message}`,
  );
  throw new WorkerError(
    'workflow.params_invalid',
    `Workflow ${JSON.stringify(name)} cannot use these params:\n${problems.map((one) => `• ${one}`).join('\n')}`,
    { details: problems },
  );
}

/** Numbers too large for JavaScript come as BigInt. */
function toJson(made: unknown): string {
  const text = JSON.stringify(made, (_, value: unknown) =>
    typeof value === 'bigint' ? rawJson(String(value)) : value,
  ) as string | undefined;
  if (text === undefined) throw new TypeError(`it returned ${typeof made}, no workflow`);
  return text;
}

const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };

function isSchema(value: unknown): boolean {
  return typeof (value as Partial<z.ZodType> | null)?.safeParseAsync === 'function';
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function broken(name: string, problem: string, cause?: unknown): WorkerError {
  return new WorkerError('workflow.broken', `Workflow ${JSON.stringify(name)} ${problem}`, {
    cause,
  });
}

let isLent = false;

/** A folder on a volume has no packages: what a module does not find there (zod) it gets from the worker. */
function lendPackages(): void {
  if (isLent) return;
  isLent = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!BARE.test(specifier)) throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

const BARE = /^[\w@][\w.@/-]*$/;
