import { safeName } from '../../lib/storage/key.ts';
import type { Destination, StoredFile } from '../../lib/storage/storage.ts';
import type { DeliveryScope } from '../job-scope.ts';
import type { Artifact, DeliveredFile } from '../outputs/artifact.ts';
import { base64Bytes, InlineBudget, NO_STORE } from './inline-budget.ts';
import type { DeliveryPlan } from './plan.ts';

/**
 * Delivers every artifact, in order: as base64 in the result, or in a store, as its address. A file that a store refuses
 * goes into the result if it fits, else to the next store; each refusal is added to the problems of the job.
 * @param besides what the result will contain beside the files.
 * @throws WorkerError `result.too_large` when the files do not fit and there is no store.
 */
export async function deliver(
  artifacts: readonly Artifact[],
  { jobId, signal, problems }: Pick<DeliveryScope, 'jobId' | 'signal' | 'problems'>,
  { plan, besides }: { readonly plan: DeliveryPlan; readonly besides?: unknown },
): Promise<readonly DeliveredFile[]> {
  const { destinations, inline, maxResultBytes } = plan;
  const budget = new InlineBudget(maxResultBytes, artifacts, besides);
  if (inline === 'always' || (inline === 'if it fits' && budget.fits(artifacts)))
    return await budget.takeAll(artifacts);
  if (destinations.length === 0) throw budget.tooLarge(artifacts, NO_STORE);

  const outcomes = toOutcomes(artifacts, jobId);
  for (const destination of destinations) {
    const pending = outcomes.filter(({ delivered }) => !delivered);
    if (pending.length > 0) await storeAll(pending, destination, { signal, budget });
  }
  for (const outcome of outcomes) problems.push(...problemsOf(outcome, budget));
  return outcomes.flatMap(({ delivered }) => delivered ?? []);
}

/** The state of one artifact's delivery. */
interface Outcome {
  readonly artifact: Artifact;
  readonly file: StoredFile;
  /** One for each store that refused it. */
  readonly problems: string[];
  delivered?: DeliveredFile;
}

/** Two files of a job may have the same name; the second gets its position in front. */
function toOutcomes(artifacts: readonly Artifact[], jobId: string): Outcome[] {
  const names = new Set<string>();
  return artifacts.map((artifact, index) => {
    const { nodeId, filename, content, mediaType } = artifact;
    const name = safeName(filename);
    const uniqueName = names.has(name) ? `${index}-${name}` : name;
    names.add(name).add(uniqueName);
    const file = { jobId, nodeId, filename, uniqueName, index, content, mediaType };
    return { artifact, file, problems: [] };
  });
}

/** Stores files. Those that the store refuses go into the result while they fit. */
async function storeAll(
  outcomes: readonly Outcome[],
  destination: Destination,
  { signal, budget }: { readonly signal: AbortSignal; readonly budget: InlineBudget },
): Promise<void> {
  const { name, itemType } = destination;
  const files = outcomes.map(({ file }) => file);
  const stored = await destination.store(files, signal);
  for (const [at, outcome] of outcomes.entries()) {
    const { artifact, problems } = outcome;
    const one = stored[at] ?? { problem: 'the store gave no answer for it' };
    if ('address' in one) outcome.delivered = { artifact, type: itemType, data: one.address };
    else {
      problems.push(`Error uploading ${artifact.filename} to ${name}: ${one.problem}`);
      const inline = await budget.maybeTake(artifact);
      if (inline) outcome.delivered = inline;
    }
  }
}

/** A file that is lost has its size beside the last refusal. */
function problemsOf({ artifact, problems, delivered }: Outcome, budget: InlineBudget): string[] {
  if (delivered) return problems;
  const sizes = `${base64Bytes([artifact])} bytes, ${budget.freeBytes} free`;
  const lost = `It is too large to be returned as base64 (${sizes}).`;
  return [...problems.slice(0, -1), `${problems.at(-1)}. ${lost}`];
}
