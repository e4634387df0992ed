import type { ComfyBackend } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import { classTypesOf } from '../lib/workflow/graph.ts';
import { fatalNodes, preflight, type Findings } from '../lib/workflow/check/preflight.ts';

export interface PreflightOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes' | 'nodeClassNames' | 'rejection'>;
  readonly signal: AbortSignal;
  /** Refuse a workflow also for what ComfyUI may let pass, or leave out. */
  readonly strict?: boolean;
}

/**
 * Refuses a workflow of which it is certain that ComfyUI would refuse it or die of it, and tells all that is wrong with it.
 * When ComfyUI does not tell about its nodes, only what kills it whatever they are is looked for.
 * @throws WorkerError `comfy.rejected`
 */
export async function checkWorkflow(workflow: JsonText, options: PreflightOptions): Promise<void> {
  const { comfy, signal } = options;
  const infos = await comfy.describeNodes(classTypesOf(workflow), { signal });
  if (!infos) {
    const fatal = fatalNodes(workflow);
    if (fatal.entries().length > 0)
      throw await comfy.rejection(workflow, { nodeErrors: fatal }, signal);
    return;
  }
  const findings = preflight(workflow, infos);
  if (isRefused(findings, options))
    await refuseIfStillSo(workflow, { ...options, infos, findings });
}

/** What was known of the nodes may be from an earlier job, and a model or a node may have come since. */
async function refuseIfStillSo(
  workflow: JsonText,
  options: PreflightOptions & {
    readonly infos: ReadonlyMap<string, JsonText>;
    readonly findings: Findings;
  },
): Promise<void> {
  const { comfy, signal, infos, findings: earlier } = options;
  const fresh = await comfy.describeNodes(earlier.classTypes, { signal, fresh: true });
  if (!fresh) return;
  const unknown = earlier.classTypes.find((classType) => !fresh.has(classType));
  const names = unknown === undefined ? [] : await comfy.nodeClassNames(signal);
  const findings = preflight(workflow, new Map([...infos, ...fresh]), names);
  if (!isRefused(findings, options)) return;
  if (findings.lacksOutput) throw withoutOutput();
  const { nodeErrors } = findings;
  throw await comfy.rejection(workflow, { nodeErrors, ...maybeHeadline(unknown) }, signal);
}

/** ComfyUI's own first words for a node it does not have, which clients may look for. */
function maybeHeadline(unknown: string | undefined): { headline?: string } {
  return unknown === undefined
    ? {}
    : { headline: `Cannot execute because node ${unknown} does not exist` };
}

function isRefused(findings: Findings, { strict = false }: PreflightOptions): boolean {
  return findings.isRefused || (strict && findings.classTypes.length > 0);
}

function withoutOutput(): WorkerError {
  return new WorkerError(
    'comfy.rejected',
    'Prompt has no outputs:\n• No node gives anything out; add one that saves or previews, for example SaveImage',
  );
}
