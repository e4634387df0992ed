import type { Comfy } from '../lib/comfy/comfy.ts';
import { describeError, isWorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import type { Handler, Job, JobContext } from '../lib/runpod/job.ts';
import type { Storage } from '../lib/storage/storage.ts';
import { collectOutputs } from './collect-outputs.ts';
import { deliver } from './deliver.ts';
import { ArtifactFetcher } from './fetch-artifacts.ts';
import { InputLeases } from './input-leases.ts';
import { startDeadline } from './job-deadline.ts';
import { parseInput } from './job-input.ts';
import { type Result, toFailure, toResult } from './result.ts';
import { stageInputs } from './stage-inputs.ts';
import { Stopwatch, type Timings } from './stopwatch.ts';

export interface JobParts {
  readonly comfy: Comfy;
  readonly storage?: Storage;
  /** Sent with workflows whose job brings no key of its own. */
  readonly apiKey?: JsonText;
  /** Uploads or downloads side by side. */
  readonly transfers: number;
  readonly maxResultBytes: number;
  readonly jobTimeoutMs: number;
  /** The ComfyUI behind this worker is the embedded stand-in: results say so. */
  readonly simulated?: boolean;
  /** Told how long each stretch of a job took, when its result is ready. */
  readonly onTimings?: (jobId: string, timings: Timings) => void;
}

type LineParts = JobParts & { readonly leases: InputLeases };

/** The job line with its parts. Its one `catch` turns whatever went wrong into a result. */
export function createJobHandler(jobParts: JobParts): Handler {
  const parts = { ...jobParts, leases: new InputLeases() };
  return async (job, context) => {
    using deadline = startDeadline(job, context.signal, parts.jobTimeoutMs);
    try {
      const result = await runJob(job, context, { parts, signal: deadline.signal });
      return parts.simulated ? { ...result, simulated: true } : result;
    } catch (error) {
      if (context.signal.aborted) throw error;
      logFailure(error, context);
      return toFailure(error);
    }
  };
}

async function runJob(
  job: Job,
  context: JobContext,
  { parts, signal }: { readonly parts: LineParts; readonly signal: AbortSignal },
): Promise<Result> {
  const { comfy } = parts;
  const { log } = context;
  const watch = new Stopwatch();

  const input = parseInput(job.input);
  await comfy.ready(signal);
  watch.lap('ready');

  const workflow =
    input.workflow instanceof JsonText ? input.workflow : JsonText.of(input.workflow.name);
  const lease = await stageInputs({ images: input.images, workflow }, parts, signal);
  log.info({ images: input.images.length, ms: watch.lap('staged') }, 'Inputs staged');

  const makeRoom = () => {
    lease.release();
    context.release();
  };
  const files = new ArtifactFetcher({ comfy, transfers: parts.transfers, log }, signal);
  const outcome = await comfy
    .runPrompt(
      { workflow, apiKey: input.apiKey ?? parts.apiKey },
      {
        signal,
        log,
        onProgress: (progress) => context.progress(progress),
        onOutput: (nodeId, output) => files.announce(nodeId, output),
        onEnded: makeRoom,
      },
    )
    .finally(makeRoom);
  log.info(
    { promptId: outcome.promptId, ending: outcome.ending, ms: watch.lap('executed') },
    'Prompt ended',
  );

  const collected = collectOutputs(outcome);
  const fetched = await files.collect(collected.records);
  watch.lap('fetched');

  const delivered = await deliver(fetched.artifacts, { jobId: job.jobId, signal }, parts);
  const problems = [...collected.problems, ...fetched.problems, ...delivered.problems];
  log.info(
    { images: delivered.items.length, problems: problems.length, ms: watch.lap('delivered') },
    'Images delivered',
  );

  parts.onTimings?.(job.jobId, watch.timings);
  return toResult(outcome, { items: delivered.items, problems });
}

function logFailure(error: unknown, { log }: JobContext): void {
  if (isWorkerError(error))
    log.warn({ code: error.code, reason: describeError(error) }, 'Job failed');
  else log.error({ err: error }, 'Job failed unexpectedly');
}
