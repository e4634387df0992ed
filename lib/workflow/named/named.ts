import { readFile } from 'node:fs/promises';
import { describeError, WorkerError, shownLines } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { recognise } from '../recognise.ts';
import {
  brokenWorkflow,
  findWorkflowFile,
  workflowNames,
  type WorkflowFile,
} from './workflow-folder.ts';

export interface WorkflowRequest {
  readonly name: string;
  /** An object, as the caller sent it. */
  readonly params?: JsonText;
}

/** A workflow that jobs may call by name, as it is listed. */
export interface WorkflowDescription {
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  /** JSON Schema of `params`. Absent if the workflow takes none. */
  readonly params?: object;
  /** Why the workflow cannot be used. */
  readonly problem?: string;
}

/**
 * The workflow of this name, made with the given parameters, in API format or the editor's. Files are read anew each time.
 * @throws WorkerError `workflow.name_unknown`, `workflow.params_invalid` or `workflow.broken`
 */
export async function openWorkflow(
  folder: string,
  { name, params }: WorkflowRequest,
  signal: AbortSignal,
): Promise<JsonText> {
  const file = await findWorkflowFile(folder, name);
  if (!file) {
    const known = shownLines(await workflowNames(folder)).join(', ') || 'none';
    throw new WorkerError(
      'workflow.name_unknown',
      `There is no workflow called ${JSON.stringify(name)} on this worker; there are: ${known}`,
    );
  }
  if (!file.isModule) return readWorkflow(file, params);
  // Loaded only here: a worker without modules does not need the hook for Node's module loader.
  const { importWorkflow, makeWorkflow } = await import('./workflow-module.ts');
  const module = await importWorkflow(file);
  return makeWorkflow(file, { module, params: params ? toParams(params) : {}, signal });
}

/** All workflows of the folder. A broken one is listed with its problem. */
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
    if (file.isModule) return await describeModule(file);
    await readWorkflow(file, undefined);
    return { name };
  } catch (error) {
    return { name, problem: describeError(error) };
  }
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
  let workflow: JsonText;
  try {
    workflow = JsonText.parse((await readFile(path, 'utf8')).replace(/^\uFEFF/, ''));
  } catch (error) {
    throw brokenWorkflow(name, `cannot be read: ${describeError(error)}`, error);
  }
  const found = recognise(workflow);
  if (found.kind === 'api' || found.kind === 'editor') return found.workflow;
  throw brokenWorkflow(name, 'is neither in API format nor what the editor saves');
}

/** Whole numbers that JavaScript would round become BigInt. */
function toParams(params: JsonText): unknown {
  const revive = (_: string, value: unknown, { source = '' }: { readonly source?: string } = {}) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source)
      ? BigInt(source)
      : value;
  return JSON.parse(params.text, revive);
}
