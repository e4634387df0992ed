import type { ComfyBackend } from '../lib/comfy/backend.ts';
import type { PromptOutcome } from '../lib/comfy/backend.ts';
import type { JsonText } from '../lib/json.ts';
import type { JobContext } from '../lib/queues/queue.ts';
import { collectOutputs, type Collected } from './outputs/collect-outputs.ts';
import { ArtifactFetcher, type Fetched } from './outputs/fetch-artifacts.ts';
import type { JobFiles } from './job-folder/job-files.ts';
import type { JobInput } from './request/job-input.ts';
import type { OutputChoice } from './outputs/output-choice.ts';
import { checkWorkflow } from './preflight.ts';
import type { ResultReporter } from './result-report.ts';
import { stageInputs, type StagingParts } from './inputs/stage-inputs.ts';
import type { Stopwatch } from './stopwatch.ts';

export interface RunOptions {
  readonly input: JobInput;
  readonly choice: OutputChoice;
  readonly jobFiles: JobFiles;
  /** Where files lie until the job ends. */
  readonly newPath: () => Promise<string>;
}

export interface RunParts extends StagingParts {
  readonly comfy: ComfyBackend;
  readonly apiKey?: JsonText;
  readonly preflight: boolean;
  readonly reporter: ResultReporter;
  readonly watch: Stopwatch;
  readonly signal: AbortSignal;
}

/** What running a workflow gave. */
export interface Ran {
  readonly outcome: PromptOutcome;
  readonly collected: Collected;
  readonly fetched: Fetched;
}

/** The middle of the line, from the inputs of a job to its files. It can be run again. */
export async function runWorkflow(
  { input, choice, jobFiles, newPath }: RunOptions,
  context: JobContext,
  parts: RunParts,
): Promise<Ran> {
  const { comfy, watch, signal } = parts;
  const { log } = context;
  using staged = await stageInputs(input, parts, {
    workflow: jobFiles.workflow,
    newPath,
    willStore: (names) => jobFiles.willStore(names),
    signal,
  });
  log.info({ files: staged.count, ms: watch.lap('staged') }, 'Inputs staged');

  if (parts.preflight)
    await checkWorkflow(staged.workflow, { comfy, signal, strict: input.strict });
  await using files = new ArtifactFetcher({ ...parts, log, newPath, choice }, signal);
  const makeRoom = () => {
    staged.release();
    context.releaseSlot();
  };
  const outcome = await comfy.runPrompt(
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
  );
  makeRoom();
  parts.reporter.countRun();
  const { promptId, ending } = outcome;
  log.info({ promptId, ending, ms: watch.lap('executed') }, 'Prompt ended');

  const collected = collectOutputs(outcome, choice);
  const fetched = await files.collect(collected.records);
  watch.lap('fetched');
  return { outcome, collected, fetched };
}
