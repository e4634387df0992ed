import type { PreviewImage } from '../../queues/queue.ts';
import type { JobStatus, LiveUpdate, StoredJob } from '../jobs/job-store.ts';
import { jsonArray, jsonObject, jsonValue, type JsonPiece } from '../server/answers.ts';

/** RunPod's names of the states of a job. */
export const RUNPOD_STATUS = {
  queued: 'IN_QUEUE',
  running: 'IN_PROGRESS',
  completed: 'COMPLETED',
  failed: 'FAILED',
  cancelled: 'CANCELLED',
  timed_out: 'TIMED_OUT',
} as const satisfies Record<JobStatus, string>;

/** A job as `/status` answers it. The output is sent as it was encoded. */
export function jobView(job: StoredJob, now: number): JsonPiece[] {
  return jsonObject(membersOf(job, now));
}

/** The body of a webhook: the job with its input and the webhook itself. */
export function webhookView(job: StoredJob, now: number, webhook: string): JsonPiece[] {
  return jsonObject({
    ...membersOf(job, now),
    input: job.input && [job.input.text],
    webhook: jsonValue(webhook),
  });
}

/** The job without output and error, for answers about its state. */
export function stateView(job: StoredJob, now: number): JsonPiece[] {
  return jsonObject({ ...membersOf(job, now), output: undefined, error: undefined });
}

/** An answer of `/stream`. A preview is a data URI, which a page can show without decoding it. */
export function streamView(job: StoredJob, updates: readonly LiveUpdate[]): JsonPiece[] {
  const items = updates.map((update) =>
    jsonObject({
      output: update.kind === 'progress' ? update.value.chunks : previewObject(update.image),
    }),
  );
  return jsonObject({ status: jsonValue(RUNPOD_STATUS[job.status]), stream: jsonArray(items) });
}

function previewObject({ bytes, mediaType, nodeId }: PreviewImage): JsonPiece[] {
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
  return jsonObject({
    preview: jsonValue(`data:${mediaType};base64,${base64}`),
    node: jsonValue(nodeId),
  });
}

function membersOf(job: StoredJob, now: number) {
  const { startedAt, queuedAt, endedAt = now } = job;
  const isStarted = startedAt !== undefined;
  return {
    delayTime: jsonValue(isStarted ? wholeMs(startedAt - queuedAt) : undefined),
    error: jsonValue(job.error?.message ?? droppedText(job.droppedBytes)),
    executionTime: jsonValue(isStarted ? wholeMs(endedAt - startedAt) : undefined),
    id: jsonValue(job.jobId),
    output: job.output?.chunks,
    retries: jsonValue(job.retries > 0 ? job.retries : undefined),
    status: jsonValue(RUNPOD_STATUS[job.status]),
    workerId: jsonValue(job.workerId),
  };
}

/** Clocks may be set back, and RunPod's Go client takes whole numbers only. */
const wholeMs = (ms: number): number => Math.max(0, Math.round(ms));

function droppedText(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const size = bytes.toLocaleString('en-US');
  return `The output (${size} bytes) is no longer kept: API_MAX_RECORD_BYTES was reached. Fetch results sooner, use a bucket, or raise it`;
}
