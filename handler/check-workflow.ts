import type { ComfyBackend } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import type { Complaint } from '../lib/workflow/check/check-inputs.ts';
import { fatalNodes, preflight, type Findings } from '../lib/workflow/check/preflight.ts';
import { classTypesOf } from '../lib/workflow/graph.ts';

export interface CheckOptions {
  readonly comfy: Pick<
    ComfyBackend,
    'describeNodes' | 'nodeClassNames' | 'replacedClassNames' | 'rejection'
  >;
  readonly signal: AbortSignal;
  /** Also refuse a workflow that ComfyUI might accept, or accept in part. */
  readonly strict?: boolean;
  /** ComfyUI is simulated. Errors say so where a real one may do better. */
  readonly simulated?: boolean;
  /** Input files that are neither in ComfyUI nor sent, by node. */
  readonly missingFiles?: ReadonlyMap<string, readonly Complaint[]>;
}

/**
 * Refuses a workflow that ComfyUI would certainly refuse or crash on, with all its problems at once. When ComfyUI does not
 * describe its nodes, only what crashes it whatever the nodes are is refused.
 * @throws WorkerError `comfy.rejected`
 */
export async function checkWorkflow(workflow: JsonText, options: CheckOptions): Promise<void> {
  const { comfy, signal, strict = false, simulated = false, missingFiles = new Map() } = options;
  const known = await comfy.describeNodes(classTypesOf(workflow), { signal });
  if (!known) {
    const nodeErrors = fatalNodes(workflow);
    if (nodeErrors.entries().length > 0)
      throw await comfy.rejection(workflow, { nodeErrors }, signal);
    return;
  }
  const mustRefuse = ({ isRefused, classTypes }: Findings) =>
    isRefused || (strict && classTypes.length > 0);
  const suspicion = preflight(workflow, known, { strict, missingFiles });
  if (!mustRefuse(suspicion)) return;

  // The descriptions may be from an earlier job. Models or nodes installed since then must not be refused.
  const { classTypes } = suspicion;
  const fresh = await comfy.describeNodes(classTypes, { signal, fresh: true });
  if (!fresh) return;
  let missingClass: string | undefined;
  const notInstalled = classTypes.filter((classType) => !fresh.has(classType));
  if (notInstalled.length > 0) {
    // Only ComfyUI knows the workflow that it makes by replacing classes.
    const replaced = await comfy.replacedClassNames(signal);
    missingClass = notInstalled.find((classType) => !replaced.has(classType));
    if (missingClass === undefined) return;
  }
  const classNames = missingClass === undefined ? [] : await comfy.nodeClassNames(signal);
  const findings = preflight(workflow, new Map([...known, ...fresh]), {
    classNames,
    simulated,
    strict,
    missingFiles,
  });
  if (!mustRefuse(findings)) return;
  if (findings.lacksOutput) {
    throw new WorkerError(
      'comfy.rejected',
      'Prompt has no outputs:\n• No node gives anything out; add one that saves or previews, for example SaveImage',
    );
  }
  // The headline is ComfyUI's own; clients match on it.
  const headline =
    missingClass === undefined
      ? {}
      : { headline: `Cannot execute because node ${missingClass} does not exist` };
  throw await comfy.rejection(workflow, { nodeErrors: findings.nodeErrors, ...headline }, signal);
}
