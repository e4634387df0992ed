import { safeName } from '../../lib/storage/key.ts';
import type { Destination, Stored, StoredFile } from '../../lib/storage/storage.ts';
import type { Artifact, DeliveredFile } from '../outputs/artifact.ts';
import type { DeliveryPlan } from './delivery-plan.ts';
import { encodedBytes, ResultRoom } from './result-room.ts';

export interface Delivered {
  readonly files: readonly DeliveredFile[];
  readonly problems: readonly string[];
}

export interface DeliveryJob {
  readonly jobId: string;
  readonly signal: AbortSignal;
  /** What the result will hold beside the files. */
  readonly besides?: unknown;
}

/**
 * Hands every artifact over, in order: inside of the result as base64, or as an address of where it was stored. A file that
 * one place refuses goes into the result while there is room, else to the next place, and is told of either way.
 * @throws WorkerError `result.too_large` when there is no place for it at all.
 */
export async function deliver(
  artifacts: readonly Artifact[],
  job: DeliveryJob,
  plan: DeliveryPlan,
): Promise<Delivered> {
  const room = new ResultRoom(plan.maxResultBytes, artifacts, job.besides);
  const { destinations, inline } = plan;
  if (inline === 'always' || (inline === 'if it fits' && room.hasRoomFor(artifacts)))
    return { files: await room.takeAll(artifacts), problems: [] };
  if (destinations.length === 0) throw room.nowhere(artifacts);

  const outcomes = outcomesFor(artifacts, job.jobId);
  for (const destination of destinations) await storeAt(destination, outcomes, { ...job, room });
  return {
    files: outcomes.flatMap(({ delivered }) => delivered ?? []),
    problems: outcomes.flatMap((outcome) => problemsOf(outcome, room)),
  };
}

/** What has become of one artifact so far. */
interface Outcome {
  readonly artifact: Artifact;
  readonly file: StoredFile;
  readonly problems: string[];
  delivered?: DeliveredFile;
}

/** What has no place yet goes there; what is refused there goes into the result while there is room. */
async function storeAt(
  destination: Destination,
  outcomes: readonly Outcome[],
  { signal, room }: DeliveryJob & { readonly room: ResultRoom },
): Promise<void> {
  const pending = outcomes.filter(({ delivered }) => !delivered);
  if (pending.length === 0) return;
  const files = pending.map(({ file }) => file);
  const stored = await destination.store(files, signal);
  for (const [at, outcome] of pending.entries()) note(stored[at], outcome, destination);
  for (const outcome of pending) {
    const inside = outcome.delivered ?? (await room.maybeTake(outcome.artifact));
    if (inside) outcome.delivered = inside;
  }
}

function note(stored: Stored | undefined, outcome: Outcome, { name, itemType }: Destination): void {
  const { artifact } = outcome;
  if (stored && 'address' in stored)
    outcome.delivered = { artifact, type: itemType, data: stored.address };
  else {
    const why = stored?.problem ?? 'nothing is known of it';
    outcome.problems.push(`Error uploading ${artifact.filename} to ${name}: ${why}`);
  }
}

function problemsOf({ artifact, problems, delivered }: Outcome, room: ResultRoom): string[] {
  if (delivered) return problems;
  const sizes = `${encodedBytes([artifact])} bytes, ${room.freeBytes} free`;
  const lost = `It is too large to be returned as base64 (${sizes}).`;
  return [...problems.slice(0, -1), `${problems.at(-1)}. ${lost}`];
}

/** A name that two files of the job share is told apart by their places. */
function outcomesFor(artifacts: readonly Artifact[], jobId: string): Outcome[] {
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
