import type { ComfyBackend } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import { editorClassTypes, fromEditor } from '../lib/workflow/editor/from-editor.ts';
import { classTypesOf, recognise } from '../lib/workflow/graph.ts';
import { openWorkflow } from '../lib/workflow/named/named.ts';
import { applyOverrides } from '../lib/workflow/overrides.ts';
import type { JobInput, NamedWorkflow } from './request/job-input.ts';

export interface ResolveOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes'>;
  /** Folder of the workflows that may be called by name. */
  readonly workflowsDir?: string | undefined;
  readonly signal: AbortSignal;
}

export interface ResolvedWorkflow {
  /** In API format, unless it is something only ComfyUI can judge. As it was sent, but for what the job says to change. */
  readonly workflow: JsonText;
  /** What `"randomize"` became, by `node id.input`; undefined when nothing was. */
  readonly randomized?: Readonly<Record<string, string>>;
}

/**
 * The workflow a job means: looked up if it was named, converted if it is in the editor's format, with the job's overrides.
 * @throws WorkerError with a code of `workflow.*`
 */
export async function resolveWorkflow(
  { workflow: sent, overrides }: Pick<JobInput, 'workflow' | 'overrides'>,
  options: ResolveOptions,
): Promise<ResolvedWorkflow> {
  const workflow = await toApiFormat(await lookUp(sent, options), options);
  if (!overrides) return { workflow };
  const bounds = await boundsFor(workflow, overrides, options);
  const { randomized, ...overridden } = applyOverrides(workflow, overrides, bounds);
  return Object.keys(randomized).length > 0 ? { ...overridden, randomized } : overridden;
}

async function lookUp(
  sent: JsonText | NamedWorkflow,
  { workflowsDir, signal }: ResolveOptions,
): Promise<JsonText> {
  if (sent instanceof JsonText) return sent;
  const text = JsonText.maybeParse(sent.name); // some clients send the workflow as a text of JSON
  if (text?.kind === 'object') return text;
  if (workflowsDir !== undefined) return openWorkflow(workflowsDir, sent, signal);
  throw new WorkerError(
    'workflow.name_unknown',
    `Expected input.workflow to be a workflow, got the text ${shown(sent.name)}; this worker keeps no workflows that could be called by name (WORKFLOWS_DIR is not set)`,
  );
}

async function toApiFormat(sent: JsonText, options: ResolveOptions): Promise<JsonText> {
  const recognised = recognise(sent);
  switch (recognised.kind) {
    case 'api':
    case 'unclear':
      return recognised.workflow;
    case 'editor':
      return convert(recognised.workflow, options);
    case 'neither':
      throw new WorkerError(
        'workflow.unreadable',
        `Expected input.workflow to be what Workflow > Export (API) in ComfyUI's menu writes, got ${shown(sent.text)}`,
      );
  }
}

async function convert(file: JsonText, { comfy, signal }: ResolveOptions): Promise<JsonText> {
  const infos = await comfy.describeNodes(editorClassTypes(file), { signal });
  if (infos) return fromEditor(file, infos);
  throw new WorkerError(
    'workflow.unconvertible',
    "The workflow is in the editor's format, and ComfyUI does not tell about its nodes (/object_info), which converting it needs; send what Workflow > Export (API) in ComfyUI's menu writes",
  );
}

/** Random seeds must be ones the nodes take; nothing else of an override depends on its class. */
function boundsFor(workflow: JsonText, overrides: JsonText, { comfy, signal }: ResolveOptions) {
  if (!overrides.text.includes('"randomize"')) return undefined;
  return comfy.describeNodes(classTypesOf(workflow), { signal });
}

function shown(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text);
}

const SHOWN = 60;
