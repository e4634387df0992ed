import { systemClock } from '../../lib/clock.ts';
import { WorkerError } from '../../lib/errors.ts';
import { toBlob } from '../../lib/file-content.ts';
import { Base64, measureJson } from '../../lib/json-body.ts';
import { safeName } from '../../lib/storage/key.ts';
import type { Destination, Stored, StoredFile } from '../../lib/storage/storage.ts';
import { STORES } from '../../lib/storage/stores.ts';
import type { DeliveryScope, StoreDeadline } from '../job-scope.ts';
import type { Artifact, DeliveredFile } from '../outputs/artifact.ts';
import type { DeliveryPlan } from './plan.ts';

/**
 * Delivers every artifact, in order: as base64 in the result, or in a store, as its address. A file that a store refuses
 * goes into the result if it fits, else to the next store; each refusal is added to the problems of the job.
 * @param besides what the result will contain beside the files.
 * @throws WorkerError `result.too_large` when the files do not fit and there is no store.
 */
export async function deliver(
  artifacts: readonly Artifact[],
  scope: Pick<DeliveryScope, 'jobId' | 'signal' | 'problems'> & StoreDeadline,
  { plan, besides }: { readonly plan: DeliveryPlan; readonly besides?: unknown },
): Promise<readonly DeliveredFile[]> {
  const { jobId, problems, storeUntil } = scope;
  const { destinations, inline, maxResultBytes } = plan;
  const budget = new InlineBudget(maxResultBytes, artifacts, besides);
  if (inline === 'always' || (inline === 'if it fits' && budget.fits(artifacts))) {
    // The reserve does not count, because there is no store to use instead.
    if (base64Bytes(artifacts) > maxResultBytes) throw budget.tooLarge(artifacts, USE_A_STORE);
    return await Promise.all(artifacts.map(toInline));
  }
  if (destinations.length === 0) throw budget.tooLarge(artifacts, NO_STORE);

  const outcomes = await toOutcomes(artifacts, jobId);
  for (const [at, destination] of destinations.entries()) {
    const pending = outcomes.filter(({ delivered }) => !delivered);
    // Each store gets an equal part of the time that is left.
    const ms = (storeUntil - systemClock.now()) / (destinations.length - at);
    if (pending.length > 0) await storeAll(pending, destination, { ...scope, ms, budget });
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
async function toOutcomes(artifacts: readonly Artifact[], jobId: string): Promise<Outcome[]> {
  const names = new Set<string>();
  const outcomes = artifacts.map(async (artifact, index) => {
    const { nodeId, filename, mediaType } = artifact;
    const name = safeName(filename);
    const uniqueName = names.has(name) ? `${index}-${name}` : name;
    names.add(name).add(uniqueName);
    const content = await toBlob(artifact.content);
    const file = { jobId, nodeId, filename, uniqueName, index, content, mediaType };
    return { artifact, file, problems: [] };
  });
  return await Promise.all(outcomes);
}

/** Stores files. Those that the store refuses go into the result while they fit. */
async function storeAll(
  outcomes: readonly Outcome[],
  destination: Destination,
  {
    budget,
    ...time
  }: { readonly signal: AbortSignal; readonly ms: number; readonly budget: InlineBudget },
): Promise<void> {
  const { name, itemType } = destination;
  const files = outcomes.map(({ file }) => file);
  const stored = await storeInTime(files, destination, time);
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

/** A store that does not answer must not use up the time of the others, and of the result. */
async function storeInTime(
  files: readonly StoredFile[],
  destination: Destination,
  { signal, ms }: { readonly signal: AbortSignal; readonly ms: number },
): Promise<readonly Stored[]> {
  signal.throwIfAborted();
  const late = new AbortController();
  const cancel = systemClock.after(ms, () => late.abort());
  try {
    return await destination.store(files, AbortSignal.any([signal, late.signal]));
  } catch (error) {
    if (signal.aborted || !late.signal.aborted) throw error;
    const seconds = Math.max(1, Math.round(ms / 1000));
    return files.map(() => ({ problem: `the store did not take it within ${seconds} s` }));
  } finally {
    cancel();
  }
}

/** A file that is lost has its size beside the last refusal. */
function problemsOf({ artifact, problems, delivered }: Outcome, budget: InlineBudget): string[] {
  if (delivered) return problems;
  const sizes = `${base64Bytes([artifact])} bytes, ${budget.freeBytes} free`;
  const lost = `It is too large to be returned as base64 (${sizes}).`;
  return [...problems.slice(0, -1), `${problems.at(-1)}. ${lost}`];
}

/** The bytes of JSON a result has left for files. A file is counted before it is read. */
class InlineBudget {
  readonly maxBytes: number;
  #freeBytes: number;

  /** @param besides what else the result will contain. */
  constructor(maxBytes: number, artifacts: readonly Artifact[], besides: unknown = []) {
    this.maxBytes = maxBytes;
    const reserved = RESERVED_BYTES + artifacts.length * ITEM_BYTES + measureJson(besides).bytes;
    this.#freeBytes = maxBytes - reserved;
  }

  get freeBytes(): number {
    return Math.max(this.#freeBytes, 0);
  }

  fits(artifacts: readonly Artifact[]): boolean {
    return base64Bytes(artifacts) <= this.#freeBytes;
  }

  /** Reads a file into the result; undefined if it does not fit. */
  async maybeTake(artifact: Artifact): Promise<DeliveredFile | undefined> {
    if (!this.fits([artifact])) return undefined;
    this.#freeBytes -= base64Bytes([artifact]);
    return await toInline(artifact);
  }

  /** The error for files that do not fit. @param advice ends its message. */
  tooLarge(artifacts: readonly Artifact[], advice: string): WorkerError {
    const inBytes = (count: number) => `${count.toLocaleString('en-US')} bytes`;
    return new WorkerError(
      'result.too_large',
      `The result has more than ${inBytes(base64Bytes(artifacts))} of JSON, and RESULT_MAX_BYTES allows ${inBytes(this.maxBytes)}; ${advice}`,
    );
  }
}

/** Characters of base64. */
function base64Bytes(artifacts: readonly Artifact[]): number {
  return artifacts.reduce((sum, { content }) => sum + 4 * Math.ceil(content.size / 3), 0);
}

async function toInline(artifact: Artifact): Promise<DeliveredFile> {
  const bytes = await artifact.content.bytes();
  return { artifact, type: 'base64', data: new Base64(bytes) };
}

const USE_A_STORE =
  'set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY to get links instead, name another place for the files in the job (s3Config, output.put, ...), or make smaller files';

/** Advice when `output.delivery` is `auto` and no store is there. */
const NO_STORE = `output.delivery is "auto", but there is no other place for the files either: ${STORES.map(({ hint }) => hint).join(', ')}; name one, or make smaller files (output.convert)`;

/** For problems, timings and everything else that does not depend on the files. */
const RESERVED_BYTES = 64 * 1024;
/** For one file's name, details and link. */
const ITEM_BYTES = 2048;
