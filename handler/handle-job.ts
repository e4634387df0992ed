import type { ComfyBackend } from '../lib/comfy/backend.ts';
import type { Downloader } from '../lib/download/downloader.ts';
import { describeError, isWorkerError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import type { Handler, Job, JobContext, JobResult } from '../lib/queues/queue.ts';
import type { Storage } from '../lib/storage/storage.ts';
import { Cleanup, type CleanupParts } from './job-folder/cleanup.ts';
import type { Converter } from './outputs/convert.ts';
import { deliver } from './delivery/deliver.ts';
import { planDelivery } from './delivery/delivery-plan.ts';
import { InputLeases } from './inputs/input-leases.ts';
import type { ImageLimits } from './inputs/input-look.ts';
import { startDeadline } from './job-deadline.ts';
import { parseInput } from './request/job-input.ts';
import { madeAgain } from './job-folder/made-again.ts';
import { chooseOutputs } from './outputs/output-choice.ts';
import { describeFiles } from './outputs/output-details.ts';
import { toOutputs } from './outputs/output-items.ts';
import { resolveWorkflow } from './resolve-workflow.ts';
import { ResultReporter } from './result-report.ts';
import { toFailure, toJobResult, toResult } from './result.ts';
import { runWorkflow } from './run-workflow.ts';
import { Stopwatch, type Timings } from './stopwatch.ts';
import type { UploadSettings } from './delivery/upload-settings.ts';
import { openWorkFolder } from './work-folder.ts';

export interface JobParts {
  readonly comfy: ComfyBackend;
  readonly storage?: Storage;
  /** Sent with workflows whose job brings no key of its own. */
  readonly apiKey?: JsonText;
  /** Uploads or downloads side by side. */
  readonly transfers: number;
  readonly maxResultBytes: number;
  readonly uploads: UploadSettings;
  readonly jobTimeoutMs: number;
  readonly converter: Converter;
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  /** Whether what a job leaves on ComfyUI's disk is removed. */
  readonly cleanupMode: CleanupParts['mode'];
  /** Folder of the workflows that may be called by name. */
  readonly workflowsDir?: string;
  /** Whether a workflow is looked at before ComfyUI gets it. */
  readonly preflight: boolean;
  /** The ComfyUI behind this worker is the embedded stand-in: results say so. */
  readonly simulated?: boolean;
  /** Told how long each stretch of a job took, when its result is ready. */
  readonly onTimings?: (jobId: string, timings: Timings) => void;
}

interface LineParts extends JobParts {
  readonly leases: InputLeases;
  readonly cleanup: Cleanup;
  readonly reporter: ResultReporter;
}

/** The job line with its parts. Its one `catch` turns whatever went wrong into a result. */
export function createJobHandler(jobParts: JobParts): Handler {
  const { comfy, cleanupMode: mode } = jobParts;
  const leases = new InputLeases();
  const cleanup = new Cleanup({ comfy, leases, mode });
  const parts = { ...jobParts, leases, cleanup, reporter: new ResultReporter(comfy) };
  return async (job, context) => {
    using deadline = startDeadline(job, context.signal, parts.jobTimeoutMs);
    try {
      const result = await runJob(job, context, { parts, signal: deadline.signal });
      return result;
    } catch (error) {
      if (context.signal.aborted) throw error;
      logFailure(error, context);
      return toFailure(error);
    }
  };
}

/** A job's whole way. No step knows the next one; all take the signal, which is aborted when the job is stopped or late. */
async function runJob(
  job: Job,
  context: JobContext,
  { parts, signal }: { readonly parts: LineParts; readonly signal: AbortSignal },
): Promise<JobResult> {
  const { comfy } = parts;
  const { log } = context;
  const watch = new Stopwatch();

  const input = parseInput(job.input);
  await using delivery = await planDelivery({ job, input }, parts);
  await comfy.waitUntilReady(signal);
  watch.lap('ready');

  const { workflow, randomized } = await resolveWorkflow(input, { ...parts, signal });
  const choice = chooseOutputs(workflow, input.output);
  await using folder = openWorkFolder(log);
  const { newPath } = folder;
  await using jobFiles = await parts.cleanup.begin(job.jobId, { workflow, signal, log });
  const run = () =>
    runWorkflow({ input, choice, jobFiles, newPath }, context, { ...parts, watch, signal });
  const { outcome, collected, fetched } = await madeAgain(run, { comfy, log, signal });

  const { convert, groupBy, details, expect } = input.output;
  const artifacts = jobFiles.asSent(fetched.artifacts);
  const converted = await parts.converter.convert(artifacts, convert, { newPath, signal });
  if (convert) watch.lap('converted');

  const delivered = await deliver(
    converted.artifacts,
    { jobId: job.jobId, signal, besides: collected.texts },
    delivery,
  );
  const problems = [collected, fetched, converted, delivered].flatMap((step) => step.problems);
  const counts = { files: delivered.files.length, problems: problems.length };
  log.info({ ...counts, ms: watch.lap('delivered') }, 'Files delivered');
  parts.onTimings?.(job.jobId, watch.timings);

  const described = details ? await describeFiles(delivered.files, { choice, signal }) : [];
  const outputs = toOutputs(delivered.files, collected.texts, { groupBy, details: described });
  const result = {
    ...toResult(outcome, { outputs, problems, expect }),
    ...(randomized && { randomized }),
    ...(details && (await parts.reporter.report(outcome, watch.timings, signal))),
    ...(parts.simulated && { simulated: true }),
  };
  const code = outcome.ending === 'interrupted' ? 'comfy.interrupted' : 'comfy.execution_failed';
  return toJobResult(result, code);
}

function logFailure(error: unknown, { log }: JobContext): void {
  if (isWorkerError(error))
    log.warn({ code: error.code, reason: describeError(error) }, 'Job failed');
  else log.error({ err: error }, 'Job failed unexpectedly');
}
