import type { ComfyBackend } from '../lib/comfy/backend.ts';
import type { Config } from '../lib/config.ts';
import type { Downloader } from '../lib/download/downloader.ts';
import { describeError } from '../lib/errors.ts';
import type { JsonText } from '../lib/json.ts';
import type { Handler, Job, JobContext, JobResult } from '../lib/queues/queue.ts';
import { SpareBuffers } from '../lib/spare-buffers.ts';
import type { ModelCache } from '../lib/models/cache/model-cache.ts';
import type { Storage, StoreSettings } from '../lib/storage/storage.ts';
import { checkWorkflow } from './check-workflow.ts';
import { orCutShort } from './cut-short.ts';
import type { DeadlyJobs } from './deadly-jobs.ts';
import { deliver } from './delivery/deliver.ts';
import { planDelivery } from './delivery/plan.ts';
import type { ImageLimits } from './inputs/input-content.ts';
import { InputLeases } from './inputs/input-leases.ts';
import { stageInputs } from './inputs/stage-inputs.ts';
import type { FileLedger } from './job-folder/file-ledger.ts';
import { JobFolders, type JobFolder } from './job-folder/job-folder.ts';
import { JobScope, timeoutOf, type Timings } from './job-scope.ts';
import { chooseOutputs, collectOutputs, type OutputChoice } from './outputs/collect-outputs.ts';
import type { Converter } from './outputs/convert.ts';
import { describeFiles } from './outputs/describe-files.ts';
import { ArtifactFetcher } from './outputs/fetch-artifacts.ts';
import { groupOutputs, withoutEmpty } from './outputs/group-outputs.ts';
import { rerunIfCacheIsStale } from './outputs/stale-cache.ts';
import { runWithReplay, withAttempts, type Attempt } from './replay.ts';
import { withModelSources } from './inputs/model-sources.ts';
import { parseInput, type JobInput } from './request/job-input.ts';
import { resolveWorkflow } from './resolve-workflow.ts';
import { describeRun, toFailure, toResult } from './result.ts';

/**
 * Settings of the job line, and what it shares with the rest of the worker. Steps take their fields by name: planDelivery
 * `workerBucket`, `storeSettings`, `transfers` and `maxResultBytes`; resolveWorkflow `comfy`, `simulated` and `workflowsDir`;
 * stageInputs `comfy`, `leases`, `downloader`, `imageLimits` and `transfers`; ArtifactFetcher `comfy` and `transfers`.
 */
export interface JobLineOptions {
  readonly comfy: ComfyBackend;
  /** The worker's own bucket, of the `BUCKET_*` variables. */
  readonly workerBucket?: Storage;
  /** Key for ComfyUI's API nodes, used when a job brings none. */
  readonly apiKey?: JsonText;
  /** Parallel uploads, and parallel downloads, of one job. */
  readonly transfers: number;
  readonly maxResultBytes: number;
  readonly storeSettings: StoreSettings;
  readonly jobTimeoutMs: number;
  readonly converter: Converter;
  readonly downloader: Downloader;
  readonly imageLimits: ImageLimits;
  /** Set if loaders of models may have URLs (`DYNAMIC_MODELS`). */
  readonly modelCache?: ModelCache | undefined;
  /** Whether a job's files are removed from ComfyUI's disk. */
  readonly cleanupMode: Config['CLEANUP'];
  /** Its models are named to callers who lack them. */
  readonly manifestFile: string;
  /** Record of the files that jobs have on disk. If this worker is killed, the next one removes them. */
  readonly ledger: FileLedger;
  /** Folder of the workflows that may be called by name. */
  readonly workflowsDir?: string;
  /** Check workflows before ComfyUI gets them. */
  readonly preflight: boolean;
  /** Jobs that killed ComfyUI, which are refused. */
  readonly deadlyJobs: DeadlyJobs;
  /** ComfyUI is the embedded simulation; results say so. */
  readonly simulated?: boolean;
  /** Called when a job's outputs are delivered. */
  readonly onTimings?: (jobId: string, timings: Timings) => void;
}

interface JobLine extends JobLineOptions {
  /** For decoded input files. */
  readonly spare: SpareBuffers;
  readonly leases: InputLeases;
  readonly jobFolders: JobFolders;
  /** Prompts run since the worker started. */
  promptsRun: number;
}

/** The handler that runs ComfyUI workflows. */
export function createJobHandler(options: JobLineOptions): Handler {
  const leases = new InputLeases();
  const { comfy, ledger, cleanupMode: mode } = options;
  const jobFolders = new JobFolders({ comfy, leases, ledger, mode });
  const line = { ...options, leases, jobFolders, spare: new SpareBuffers(), promptsRun: 0 };
  return (job, context) => handleJob(job, context, line);
}

/**
 * Runs one job. Its only `catch` turns an error into a failed result.
 * @throws the reason of `context.signal` when the job was stopped; a stopped job has no result.
 */
async function handleJob(job: Job, context: JobContext, line: JobLine): Promise<JobResult> {
  const { signal, log } = context;
  const timeoutMs = timeoutOf(job, line.jobTimeoutMs);
  const { ledger } = line;
  await using scope = new JobScope({ jobId: job.jobId, signal, log, timeoutMs, ledger });
  try {
    const result = await runJob(job, { line, context, scope });
    job.release?.();
    return withAttempts(result, scope, line.comfy);
  } catch (error) {
    if (signal.aborted) throw error;
    const told = await withModelSources(error, job.input, line.manifestFile);
    const failure = toFailure(told, log, { promptFailure: scope.promptFailure });
    return withAttempts(failure, scope, line.comfy);
  }
}

/** One job on the line: the worker's side of it, and what its steps share. */
interface JobOnLine {
  readonly line: JobLine;
  readonly context: JobContext;
  readonly scope: JobScope;
}

/** The whole line: from the input of a job to its result. Each step takes the job's scope, and none knows the next. */
async function runJob(job: Job, { line, context, scope }: JobOnLine): Promise<JobResult> {
  const { comfy, deadlyJobs } = line;
  const input = parseInput(job.input);
  input.notes.forEach(scope.note);
  await deadlyJobs.refuse(job.input);
  await using plan = await planDelivery({ job, input, note: scope.note }, line);

  await using jobFolders = new AsyncDisposableStack();
  const attemptRun = (attempt: Attempt) =>
    runAttempt(input, { line, context, scope, attempt, jobFolders });
  const ran = await runWithReplay(attemptRun, {
    ...{ comfy, scope },
    onDeadly: () => deadlyJobs.remember(job.input, job.jobId),
  });
  const { outcome, outputFiles, texts, artifacts, deliveryScope, choice, randomized } = ran;
  scope.problems.push(...ran.problems); // only now: of two runs, the problems of the first do not count

  const { convert, details: wantsDetails, expect, groupBy } = input.output;
  const originals = await ran.jobFolder.restore(artifacts);
  const converted = await line.converter.convert(originals, convert, deliveryScope);
  if (convert) scope.endPhase('converted');

  const files = await deliver(converted, deliveryScope, { plan, besides: texts });
  const counts = { files: files.length, problems: scope.problems.length };
  scope.log.info({ ...counts, ms: scope.endPhase('delivered') }, 'Files delivered');
  line.onTimings?.(job.jobId, scope.timings);

  const details = wantsDetails ? await describeFiles(files, { choice, ...deliveryScope }) : [];
  const outputs = groupOutputs(files, texts, { groupBy, details });
  const extras = {
    ...(wantsDetails && withoutEmpty({ notes: scope.notes })),
    ...(randomized && { randomized }),
    ...(line.simulated && { simulated: true as const }),
  };
  const cutShort = ran.cutShort ?? scope.timeout;
  if (cutShort !== undefined)
    return toFailure(cutShort, scope.log, {
      ...{ outputs, extras },
      problems: scope.problems,
      promptFailure: scope.promptFailure,
    });
  const isColdStart = line.promptsRun <= 1;
  const runDetails =
    wantsDetails &&
    (await describeRun(outcome, { comfy, timings: scope.timings, isColdStart, ...deliveryScope }));
  return toResult(outcome, {
    outputs,
    problems: scope.problems,
    expect,
    fileCounts: { listed: outputFiles.length, fetched: artifacts.length },
    extras: { ...extras, ...runDetails },
    promptFailure: scope.promptFailure,
  });
}

/** From the moment ComfyUI is ready to the artifacts. Run again when ComfyUI dies meanwhile. */
async function runAttempt(
  input: JobInput,
  steps: JobOnLine & {
    readonly attempt: Attempt;
    /** Keeps the files of each attempt until the job has ended. */
    readonly jobFolders: AsyncDisposableStack;
  },
) {
  const { line, scope, jobFolders } = steps;
  const { comfy } = line;
  await comfy.waitUntilReady(scope.signal);
  scope.endPhase('ready');
  const { workflow, randomized } = await resolveWorkflow(input, { ...line, signal: scope.signal });
  const choice = chooseOutputs(workflow, input.output);
  const jobFolder = jobFolders.use(line.jobFolders.open(scope));
  const redirectedWorkflow = await jobFolder.redirectSaves(workflow);
  const run = () => runWorkflow(redirectedWorkflow, { ...steps, input, choice, jobFolder });
  const ran = await rerunIfCacheIsStale(run, { comfy, scope });
  return { ...ran, choice, randomized, jobFolder };
}

/** The middle of the line: from the input files of a job to its artifacts. May be run twice for one attempt. */
async function runWorkflow(
  workflow: JsonText,
  steps: JobOnLine & {
    readonly attempt: Attempt;
    readonly input: JobInput;
    readonly choice: OutputChoice;
    readonly jobFolder: JobFolder;
  },
) {
  const { attempt, input, choice, jobFolder, line, context, scope } = steps;
  const { comfy } = line;
  const { signal, log } = scope;
  using staged = await stageInputs(input, workflow, { ...line, ...{ jobFolder, context, scope } });
  log.info({ files: staged.count, ms: scope.endPhase('staged') }, 'Inputs staged');
  if (line.preflight)
    await checkWorkflow(staged.workflow, {
      ...{ comfy, signal, missingFiles: staged.missingFiles, strict: input.strict },
      simulated: line.simulated ?? false,
    });

  await using fetcher = new ArtifactFetcher({ ...line, choice, scope });
  const letNextJobRun = () => {
    staged.releaseLease();
    context.releaseSlot();
  };
  const outputsSoFar = new Map<string, JsonText>();
  attempt.wasSent = true;
  const prompt = comfy.runPrompt(
    {
      workflow: staged.workflow,
      apiKey: input.apiKey ?? line.apiKey,
      extraPnginfo: input.extraPnginfo,
      mustBeComplete: input.output.strict,
    },
    {
      signal,
      log,
      onProgress: (progress) => context.progress((scope.progress = progress)),
      onFailed: (failure) => (scope.promptFailure = failure),
      onPreview: comfy.capabilities.previews ? context.preview : undefined,
      onImage: (image) => fetcher.keep(image),
      onOutput: (nodeId, output) => {
        outputsSoFar.set(nodeId, output);
        fetcher.announce(nodeId, output);
      },
      onDone: letNextJobRun,
    },
  );
  const { outcome, cutShort } = await orCutShort(prompt, {
    outputsSoFar,
    sentFiles: fetcher.sentFiles,
    signal: context.signal,
  });
  const deliveryScope = scope.startDelivery();
  letNextJobRun(); // again, because onDone may have been lost; later calls do nothing
  line.promptsRun++;
  const { promptId, ending } = outcome;
  const ms = scope.endPhase('executed');
  if (cutShort === undefined) log.info({ promptId, ending, ms }, 'Prompt ended');
  else log.info({ ms, reason: describeError(cutShort) }, 'Prompt given up');

  const { outputFiles, texts, problems } = collectOutputs(outcome, choice, fetcher.sentFiles);
  const fetched = await fetcher.fetchAll(outputFiles, deliveryScope.signal);
  scope.endPhase('fetched');
  return {
    outcome,
    cutShort,
    outputFiles,
    texts,
    ...fetched,
    problems: [...problems, ...fetched.problems],
    deliveryScope,
  };
}
