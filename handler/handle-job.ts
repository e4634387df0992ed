import type { Comfy } from '../lib/comfy/comfy.ts';
import { describeError, isWorkerError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
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

export interface JobParts {
  readonly comfy: Comfy;
  readonly storage?: Storage;
  /** Sent with workflows whose job brings no key of its own. */
  readonly apiKey?: JsonText;
  readonly transfers: number;
  readonly maxResultBytes: number;
  readonly jobTimeoutMs: number;
  /** The ComfyUI behind this worker is the embedded stand-in: results say so. */
  readonly simulated?: boolean;
}

/** The job line, with its parts. Its one `catch` turns whatever went wrong into a result. */
export function createJobHandler(parts: JobParts): Handler {
  const leases = new InputLeases();
  return async (job, context) => {
    using deadline = startDeadline(job, context.signal, parts.jobTimeoutMs);
    try {
      const result = await runJob(
        job,
        { ...context, signal: deadline.signal },
        { ...parts, leases },
      );
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
  parts: JobParts & { readonly leases: InputLeases },
): Promise<Result> {
  const { signal, log } = context;
  const input = parseInput(job.input);
  await parts.comfy.ready(signal);
  const lease = await stageInputs(input, parts, signal);
  const files = new ArtifactFetcher({ ...parts, log }, signal);
  const outcome = await parts.comfy
    .runPrompt(
      { workflow: input.workflow, apiKey: input.apiKey ?? parts.apiKey },
      {
        signal,
        log,
        onProgress: context.progress,
        onOutput: (nodeId, output) => files.announce(nodeId, output),
      },
    )
    .finally(() => lease.release());
  context.release();
  const collected = collectOutputs(outcome);
  const fetched = await files.collect(collected.records);
  const delivered = await deliver(fetched.artifacts, { jobId: job.jobId, signal }, parts);
  return toResult({
    ending: outcome.ending,
    items: delivered.items,
    problems: [
      ...outcome.problems,
      ...collected.problems,
      ...fetched.problems,
      ...delivered.problems,
    ],
  });
}

function logFailure(error: unknown, { log }: JobContext): void {
  if (isWorkerError(error))
    log.warn({ code: error.code, reason: describeError(error) }, 'Job failed');
  else log.error({ err: error }, 'Job failed unexpectedly');
}
