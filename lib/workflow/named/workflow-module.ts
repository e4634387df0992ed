import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { z } from 'zod';
import { describeError, WorkerError, shownLines } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { brokenWorkflow, type WorkflowFile } from './workflow-folder.ts';

/**
 * The exports of a workflow module. `input` is a zod schema of its params. `workflow` makes a workflow from them, in either
 * format, as an object or as JSON text; it gets the job's `AbortSignal` as `options.signal`.
 */
const ModuleSchema = z.object({
  input: z.custom<z.ZodType>(isSchema, 'must be a zod schema').optional(),
  workflow: z.custom<MakeWorkflow>((value) => typeof value === 'function', 'must be a function'),
  title: z.string().optional(),
  description: z.string().optional(),
});

type MakeWorkflow = (input: unknown, options: { readonly signal: AbortSignal }) => unknown;
export type WorkflowModule = z.infer<typeof ModuleSchema>;

function isSchema(value: unknown): boolean {
  return typeof (value as Partial<z.ZodType> | null)?.safeParseAsync === 'function';
}

/**
 * Imports the module, and imports it again after its file has changed. Modules that it imports itself are loaded only once.
 * @throws WorkerError `workflow.broken`
 */
export async function importWorkflow({
  name,
  path,
  version,
}: WorkflowFile): Promise<WorkflowModule> {
  sharePackages();
  const url = `${pathToFileURL(path).href}?version=${version}`;
  const exported: unknown = await import(url).catch((error: unknown) => {
    throw brokenWorkflow(name, `cannot be loaded: ${describeError(error)}`, error);
  });
  const parsed = ModuleSchema.safeParse({ ...(exported as object) });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(
    ({ path: [key], message }) => `export ${String(key)} ${message}`,
  );
  throw brokenWorkflow(name, shownLines(problems).join(', '));
}

/**
 * Calls the module's `workflow` function.
 * @throws WorkerError `workflow.params_invalid` with a line per field, `workflow.broken` if the module fails, or the
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
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    const made = await Promise.race([module.workflow(input, { signal }), aborted]);
    return JsonText.parse(typeof made === 'string' ? made : toJson(made));
  } catch (error) {
    signal.throwIfAborted();
    throw brokenWorkflow(name, `failed: ${describeError(error)}`, error);
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
    `Workflow ${JSON.stringify(name)} cannot use these params:\n${shownLines(problems)
      .map((one) => `• ${one}`)
      .join('\n')}`,
    { details: problems },
  );
}

/** A BigInt is written as a plain number: seeds are often too large for a JavaScript number. */
function toJson(made: unknown): string {
  const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => unknown };
  const text = JSON.stringify(made, (_, value: unknown) =>
    typeof value === 'bigint' ? rawJSON(String(value)) : value,
  ) as string | undefined;
  if (text === undefined) throw new TypeError(`it returned ${typeof made}, no workflow`);
  return text;
}

let arePackagesShared = false;

/** A folder on a volume has no `node_modules`. Packages that a module does not find there (zod) come from the worker. */
function sharePackages(): void {
  if (arePackagesShared) return;
  arePackagesShared = true;
  registerHooks({
    resolve: (specifier, context, next) => {
      try {
        return next(specifier, context);
      } catch (error) {
        if (!PACKAGE_NAME.test(specifier)) throw error;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

const PACKAGE_NAME = /^[\w@][\w.@/-]*$/;
