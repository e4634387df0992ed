import type { Comfy } from '../lib/comfy/comfy.ts';
import type { Downloader } from '../lib/download/downloader.ts';
import { describeError, isWorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import type { Handler, Job, JobContext } from '../lib/runpod/job.ts';
import type { Storage } from '../lib/storage/storage.ts';
import { collectOutputs } from './collect-outputs.ts';
import type { Converter } from './convert.ts';
import { deliver } from './deliver.ts';
import { ArtifactFetcher } from './fetch-artifacts.ts';
import { InputLeases } from './input-leases.ts';
import type { ImageLimits } from './input-look.ts';
import { startDeadline } from './job-deadline.ts';
import { parseInput } from './job-input.ts';
import { chooseOutputs } from './output-choice.ts';
import { describeFiles } from './output-details.ts';
import { toOutputs } from './output-items.ts';
import { toReport } from './result-report.ts';
import { type Result, toFailure, toResult } from './result.ts';
import { stageInputs } from './stage-inputs.ts';
import { Stopwatch, type Timings } from './stopwatch.ts';
import { openWorkFolder } from './work-folder.ts';

export interface JobParts {
  readonly comfy: Comfy;
  readonly storage?: Storage;
  /** Sent with workflows whose job brings no key of its own. */
  readonly apiKey?: JsonText;
  /** Uploads or downloads side by side. */
  readonly transfers: number;
  readonly maxResultBytes: number;
  readonly jobTimeoutMs: number;
  readonly converter: Converter;
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  /** The ComfyUI behind this worker is the embedded stand-in: results say so. */
  readonly simulated?: boolean;
  /** Told how long each stretch of a job took, when its result is ready. */
  readonly onTimings?: (jobId: string, timings: Timings) => void;
}

/** `warm`: a workflow has run since this worker started. */
type LineParts = JobParts & { readonly leases: InputLeases; warm: boolean };

/** The job line with its parts. Its one `catch` turns whatever went wrong into a result. */
export function createJobHandler(jobParts: JobParts): Handler {
  const parts = { ...jobParts, leases: new InputLeases(), warm: false };
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
  const choice = chooseOutputs(workflow, input.output);
  await using folder = await openWorkFolder(log);
  const staged = await stageInputs(input, parts, { workflow, workFolder: folder.path, signal });
  log.info({ images: input.images.length, ms: watch.lap('staged') }, 'Inputs staged');

  const makeRoom = () => {
    staged.release();
    context.release();
  };
  await using files = new ArtifactFetcher(
    { comfy, transfers: parts.transfers, log, workFolder: folder.path, choice },
    signal,
  );
  const outcome = await comfy
    .runPrompt(
      {
        workflow: staged.workflow,
        apiKey: input.apiKey ?? parts.apiKey,
        extraPnginfo: input.extraPnginfo,
        strict: input.output.strict,
      },
      {
        signal,
        log,
        onProgress: (progress) => context.progress(progress),
        onPreview: context.preview,
        onOutput: (nodeId, output) => files.announce(nodeId, output),
        onEnded: makeRoom,
      },
    )
    .finally(makeRoom);
  log.info(
    { promptId: outcome.promptId, ending: outcome.ending, ms: watch.lap('executed') },
    'Prompt ended',
  );

  const collected = collectOutputs(outcome, choice);
  const fetched = await files.collect(collected.records);
  watch.lap('fetched');

  const converted = await parts.converter.convert(fetched.artifacts, input.output.convert, {
    folder: folder.path,
    signal,
  });
  if (input.output.convert) watch.lap('converted');
  const delivered = await deliver(converted.artifacts, { jobId: job.jobId, signal }, parts);
  const problems = [collected, fetched, converted, delivered].flatMap((step) => step.problems);
  log.info(
    { files: delivered.files.length, problems: problems.length, ms: watch.lap('delivered') },
    'Files delivered',
  );

  parts.onTimings?.(job.jobId, watch.timings);
  const { groupBy, details, expect } = input.output;
  const described = details ? await describeFiles(delivered.files, { choice, signal }) : [];
  const outputs = toOutputs(delivered.files, collected.texts, { groupBy, details: described });
  const result = toResult(outcome, { outputs, problems, expect });
  const isFirst = !parts.warm;
  parts.warm = true;
  if (!details) return result;
  const comfyVersion = await comfy.version(signal);
  return { ...result, ...toReport(outcome, { laps: watch.timings, isFirst, comfyVersion }) };
}

function logFailure(error: unknown, { log }: JobContext): void {
  if (isWorkerError(error))
    log.warn({ code: error.code, reason: describeError(error) }, 'Job failed');
  else log.error({ err: error }, 'Job failed unexpectedly');
}
