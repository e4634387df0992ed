import type { ComfyBackend } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import { editorClassTypes, fromEditor } from '../lib/workflow/editor/from-editor.ts';
import { classTypesOf } from '../lib/workflow/graph.ts';
import { openWorkflow } from '../lib/workflow/named/named.ts';
import { applyOverrides } from '../lib/workflow/overrides.ts';
import { recognise } from '../lib/workflow/recognise.ts';
import { refuseTooDeep, type JobInput } from './request/job-input.ts';

export interface ResolveOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes'>;
  /** ComfyUI is simulated. Errors say so where a real one may do better. */
  readonly simulated?: boolean | undefined;
  /** Folder of the workflows that may be called by name. */
  readonly workflowsDir?: string | undefined;
  readonly signal: AbortSignal;
}

export interface ResolvedWorkflow {
  /** In API format, or something that only ComfyUI can judge. The text is the caller's, except for overridden values. */
  readonly workflow: JsonText;
  /** The values that replaced `"randomize"`, by `node id.input`; undefined when there are none. */
  readonly randomized?: Readonly<Record<string, string>>;
}

/**
 * Opens a workflow that is called by name, converts one in the editor's format, and applies the job's overrides.
 * @throws WorkerError with a code of `workflow.*`
 */
export async function resolveWorkflow(
  input: Pick<JobInput, 'workflow' | 'overrides'>,
  options: ResolveOptions,
): Promise<ResolvedWorkflow> {
  const { comfy, signal } = options;
  const workflow = await toApiFormat(await openSent(input.workflow, options), options);
  const { overrides } = input;
  if (!overrides) return { workflow };
  // Random seeds must be within the limits of their nodes. No other override needs the node classes.
  const hasRandom = overrides.text.includes('"randomize"');
  const infos = hasRandom
    ? await comfy.describeNodes(classTypesOf(workflow), { signal })
    : undefined;
  const { randomized, ...overridden } = applyOverrides(workflow, overrides, infos);
  return Object.keys(randomized).length > 0 ? { ...overridden, randomized } : overridden;
}

async function openSent(
  sent: JobInput['workflow'],
  { workflowsDir, signal }: ResolveOptions,
): Promise<JsonText> {
  if (sent instanceof JsonText) return sent;
  const text = JsonText.maybeParse(sent.name); // some clients send the workflow as a string of JSON
  if (text?.kind === 'object') {
    refuseTooDeep(text, 'input.workflow');
    return text;
  }
  if (workflowsDir !== undefined) return openWorkflow(workflowsDir, sent, signal);
  throw new WorkerError(
    'workflow.name_unknown',
    `Expected input.workflow to be a workflow, got the text ${quote(sent.name)}; this worker keeps no workflows that could be called by name (WORKFLOWS_DIR is not set)`,
  );
}

/**
 * The workflow in API format. One of the editor is converted with the descriptions of its nodes. An object that may be meant
 * as nodes is returned as it is, because ComfyUI says best what is wrong with it.
 * @throws WorkerError `workflow.unreadable`, `workflow.unconvertible`
 */
export async function toApiFormat(
  sent: JsonText,
  { comfy, simulated, signal }: Pick<ResolveOptions, 'comfy' | 'simulated' | 'signal'>,
): Promise<JsonText> {
  const found = recognise(sent);
  switch (found.kind) {
    case 'api':
    case 'unclear':
      return found.workflow;
    case 'editor': {
      const infos = await comfy.describeNodes(editorClassTypes(found.workflow), { signal });
      if (infos) return fromEditor(found.workflow, infos, simulated);
      throw new WorkerError(
        'workflow.unconvertible',
        "The workflow is in the editor's format, and ComfyUI does not tell about its nodes (/object_info), which converting it needs; send what Workflow > Export (API) in ComfyUI's menu writes",
      );
    }
    case 'other':
      if (!found.isKnown) return sent;
      break;
    case 'name':
      break;
  }
  const got = sent.kind === 'object' ? found.what : quote(sent.text);
  throw new WorkerError(
    'workflow.unreadable',
    `Expected input.workflow to be what Workflow > Export (API) in ComfyUI's menu writes, got ${got}`,
  );
}

function quote(text: string): string {
  return JSON.stringify(text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)}...` : text);
}

const MAX_QUOTE = 60;
