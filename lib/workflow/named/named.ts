import { readFile } from 'node:fs/promises';
import { describeError, WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { recognise } from '../recognise.ts';
import { findWorkflowFile, workflowNames, type WorkflowFile } from './workflow-folder.ts';

export interface WorkflowRequest {
  readonly name: string;
  /** What the workflow asks for: an object. */
  readonly params?: JsonText;
}

/** A workflow jobs may call by name, for a list. */
export interface WorkflowDescription {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  /** JSON Schema of `params`; absent when it takes none. */
  readonly params?: object;
  /** Why it cannot be used. */
  readonly problem?: string;
}

/**
 * The workflow of this name, made with the given parameters; in API format or the editor's. Files are read as they are now.
 * @throws WorkerError `workflow.name_unknown`, `workflow.params_invalid` or `workflow.broken`
 */
export async function openWorkflow(
  folder: string,
  { name, params }: WorkflowRequest,
  signal: AbortSignal,
): Promise<JsonText> {
  const file = await findWorkflowFile(folder, name);
  if (!file) throw unknownName(name, await workflowNames(folder));
  if (!file.isModule) return readWorkflow(file, params);
  // Modules are loaded by Node's own loader with a hook, which a worker without modules need not have.
  const { importWorkflow, makeWorkflow } = await import('./workflow-module.ts');
  const module = await importWorkflow(file);
  return makeWorkflow(file, { module, params: params ? valueOf(params) : {}, signal });
}

/** All workflows of the folder. One that is broken is listed with its problem. */
export async function listWorkflows(folder: string): Promise<WorkflowDescription[]> {
  const names = await workflowNames(folder);
  const described = await Promise.all(names.map((name) => describeWorkflow(folder, name)));
  return described.filter((one) => one !== undefined);
}

async function describeWorkflow(
  folder: string,
  name: string,
): Promise<WorkflowDescription | undefined> {
  const file = await findWorkflowFile(folder, name);
  if (!file) return undefined;
  try {
    return file.isModule ? await describeModule(file) : await describeJson(file);
  } catch (error) {
    return { name, problem: describeError(error) };
  }
}

async function describeJson(file: WorkflowFile): Promise<WorkflowDescription> {
  await readWorkflow(file, undefined);
  return { name: file.name };
}

async function describeModule(file: WorkflowFile): Promise<WorkflowDescription> {
  const [{ importWorkflow }, { z }] = await Promise.all([
    import('./workflow-module.ts'),
    import('zod'),
  ]);
  const { title, description, input } = await importWorkflow(file);
  return {
    name: file.name,
    ...(title === undefined ? {} : { title }),
    ...(description === undefined ? {} : { description }),
    ...(input ? { params: z.toJSONSchema(input, { io: 'input', unrepresentable: 'any' }) } : {}),
  };
}

async function readWorkflow(
  { name, path }: WorkflowFile,
  params: JsonText | undefined,
): Promise<JsonText> {
  if (params && params.entries().length > 0) {
    const problem = `Workflow ${JSON.stringify(name)} takes no params; change its inputs with input.overrides`;
    throw new WorkerError('workflow.params_invalid', problem);
  }
  const workflow = await readJson(name, path);
  if (['api', 'editor'].includes(recognise(workflow).kind)) return workflow;
  throw broken(name, 'is neither in API format nor what the editor saves');
}

async function readJson(name: string, path: string): Promise<JsonText> {
  try {
    return JsonText.parse((await readFile(path, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (error) {
    throw broken(name, `cannot be read: ${describeError(error)}`, error);
  }
}

/** Whole numbers JavaScript would round come as BigInt. */
function valueOf(params: JsonText): unknown {
  const revive = (_: string, value: unknown, { source = '' }: { readonly source?: string } = {}) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value;
  return JSON.parse(params.text, revive);
}

function unknownName(name: string, names: readonly string[]): WorkerError {
  const known = names.length > 0 ? names.join(', ') : 'none';
  return new WorkerError(
    'workflow.name_unknown',
    `There is no workflow called ${JSON.stringify(name)} on this worker; there are: ${known}`,
  );
}

function broken(name: string, problem: string, cause?: unknown): WorkerError {
  return new WorkerError('workflow.broken', `Workflow ${JSON.stringify(name)} ${problem}`, {
    cause,
  });
}
