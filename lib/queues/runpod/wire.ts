import { withoutDoubledSlashes } from '../../http/base-url.ts';
import { lazyBody, measureJson, piecesOf, type JsonBody } from '../../json-body.ts';
import type { JsonText } from '../../json.ts';
import { VERSION } from '../../version.ts';
import type { JobError, JobUpdate, Taken } from '../queue.ts';
import { shownLines } from '../../errors.ts';

/** The worker as RunPod's clients see it in the report of a handler that threw. */
export interface WorkerIdentity {
  readonly hostname: string;
  readonly podId: string;
}

/**
 * Reads one job object: `{"id": "...", "input": ..., "batchId": "...", ...}`.
 * @returns the job, or the problem with its id if that could be read.
 */
export function parseJob(source: JsonText): Taken {
  const jobId = source.get('id')?.value();
  if (typeof jobId !== 'string' || jobId === '') {
    const keys = source.kind === 'object' ? source.entries().map(([name]) => name) : [];
    const shape =
      source.kind === 'object'
        ? `an object with the keys ${shownLines(keys).join(', ') || '(none)'}`
        : `a value of kind ${source.kind}`;
    return { kind: 'broken', problem: `Expected a job with an id, got ${shape}` };
  }
  const input = source.get('input');
  if (!input) {
    const problem = `Expected job ${jobId} to have an input; it has none`;
    return { kind: 'broken', jobId, problem };
  }
  const batchId = source.get('batchId')?.value();
  const isBatch = typeof batchId === 'string' && batchId !== '';
  return { kind: 'job', job: { jobId, input, source, ...(isBatch ? { batchId } : {}) } };
}

/**
 * Writes an update as RunPod reads it: `{"output", "error", "stopPod"}`, or `{"status": "IN_PROGRESS", "output"}`. Absent
 * members are left out. `error` is always a string: RunPod takes a job with any other error for completed.
 */
export function toWireBody(update: JobUpdate, worker: WorkerIdentity): JsonBody {
  if (update.kind === 'progress') {
    return joinMembers([
      ['status', measureJson('IN_PROGRESS').encode()],
      ['output', update.value],
    ]);
  }
  const { output, error, freshWorker } = update.result;
  return joinMembers([
    ['output', output],
    ['error', error && measureJson(toErrorText(error, worker)).encode()],
    ['stopPod', freshWorker ? measureJson(true).encode() : undefined],
  ]);
}

function joinMembers(members: readonly (readonly [string, JsonBody | undefined])[]): JsonBody {
  const present = members.flatMap(([name, body]) => (body ? [{ name, body }] : []));
  const names = present.map(({ name }, index) =>
    Buffer.from(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
  );
  const end = Buffer.from(present.length === 0 ? '{}' : '}');
  const ownBytes = [...names, end].reduce((sum, { length }) => sum + length, 0);
  const bytes = present.reduce((sum, { body }) => sum + body.bytes, ownBytes);
  return lazyBody(bytes, function* () {
    for (const [index, { body }] of present.entries()) {
      yield names[index] ?? end;
      yield* piecesOf(body);
    }
    yield end;
  });
}

/**
 * The text of an error. When the handler threw, clients of RunPod parse it as JSON with six keys (Python SDK,
 * `rp_job.py`, `run_job`).
 */
function toErrorText({ message, thrown }: JobError, { hostname, podId }: WorkerIdentity): string {
  if (!thrown) return message;
  return JSON.stringify({
    error_type: thrown.type,
    error_message: message,
    error_traceback: thrown.trace,
    hostname,
    worker_id: podId,
    runpod_version: VERSION,
  });
}

/** Values for the placeholders of a URL template. Ids and names are encoded when they are put in. */
interface UrlValues {
  readonly podId: string;
  /** Left out for takes and pings, whose templates mean the worker by `$ID`. */
  readonly jobId?: string;
  readonly gpuTypeId?: string | undefined;
}

/**
 * Puts ids into a URL template of the platform: `$RUNPOD_POD_ID`, `$ID` and `$RUNPOD_GPU_TYPE_ID`, each as often as it
 * occurs. Real templates use either name for the worker, or are expanded already. Slashes that a base URL has doubled are
 * removed.
 */
export function expandUrl(template: string, { podId, jobId, gpuTypeId }: UrlValues): string {
  const values: Record<string, string | undefined> = {
    $RUNPOD_POD_ID: podId,
    $RUNPOD_GPU_TYPE_ID: gpuTypeId,
    $ID: jobId ?? podId,
  };
  return withoutDoubledSlashes(template).replace(
    /\$(?:RUNPOD_POD_ID|RUNPOD_GPU_TYPE_ID|ID)/g,
    (name) => {
      const value = values[name];
      return value === undefined ? name : encodeURIComponent(value.toWellFormed());
    },
  );
}

/** Appends parameters, after `&` as the platform's own workers do, or after `?` when the URL has no query yet. */
export function withQuery(url: string, parameters: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(parameters).toString();
  return `${url}${url.includes('?') ? '&' : '?'}${query}`;
}
