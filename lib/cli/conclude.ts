import type { ErrorCode } from '../errors.ts';
import type { JobView } from './endpoint.ts';
import {
  isLink,
  readOutput,
  saveImages,
  type ResultImage,
  type SavedImage,
} from './result-files.ts';
import { describePhases, kilobytes, type Screen } from './screen.ts';

/** Saves the files of an ended job and prints a summary. @returns the exit code. */
export async function concludeJob(
  job: JobView,
  options: {
    readonly screen: Screen;
    /** Where files are saved. */
    readonly folder: string;
    readonly json: boolean;
    readonly signal: AbortSignal;
    readonly timings?: Readonly<Record<string, number>> | undefined;
  },
): Promise<number> {
  const { screen, json, timings } = options;
  const { images, problems } = readOutput(job.output);
  const { saved, problems: unsaved } = await saveImages(images, options);
  const ending = endingOf(job, unsaved.length > 0);

  for (const image of saved) screen.note(`Image     ${image.path}  (${kilobytes(image.bytes)})`);
  for (const problem of [...problems, ...unsaved]) screen.problem(`Problem   ${problem}`);
  if (timings) screen.note(`Phases    ${describePhases(timings)}`);
  if (job.error !== undefined) screen.problem(`Error     ${readableError(job.error)}`);
  screen.note(`Job       ${job.jobId}   ${job.status}${describeTimes(job)}`);
  if (json)
    screen.data(toJson(job, { images, saved, problems: [...problems, ...unsaved], timings }));
  return exitCode(ending);
}

function endingOf({ status }: JobView, isUnsaved: boolean): Ending {
  if (status === 'COMPLETED') return isUnsaved ? 'notSaved' : 'done';
  if (status === 'CANCELLED') return 'cancelled';
  return status === 'TIMED_OUT' ? 'timedOut' : 'failed';
}

interface Summary {
  readonly images: readonly ResultImage[];
  readonly saved: readonly SavedImage[];
  readonly problems: readonly string[];
  readonly timings: Readonly<Record<string, number>> | undefined;
}

/** One line for programs. Images are saved as files, so only links are repeated. */
function toJson(job: JobView, { images, saved, problems, timings }: Summary): string {
  const { jobId, status, error, delayTime, executionTime } = job;
  const links = images.filter(isLink).map(({ filename, data }) => ({ filename, url: data }));
  return JSON.stringify({
    id: jobId,
    status,
    images: saved,
    ...(links.length > 0 ? { links } : {}),
    ...(problems.length > 0 ? { problems } : {}),
    error,
    delayTime,
    executionTime,
    timings,
  });
}

function describeTimes({ delayTime, executionTime }: JobView): string {
  const waited = delayTime === undefined ? '' : `   waited ${seconds(delayTime)}`;
  return executionTime === undefined ? waited : `${waited}   ran ${seconds(executionTime)}`;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** Workers with the Python SDK report an exception as JSON with the text in `error_message`. */
function readableError(error: string): string {
  return /"error_message":\s*"((?:[^"\\]|\\.)*)"/.exec(error)?.[1] ?? error;
}

/** Exit codes with their description in `--help`. */
const EXIT_CODES = {
  done: [0, 'done'],
  failed: [1, 'the job failed, or doctor found something that does not work'],
  usage: [2, 'the command line, a file or a setting cannot be used; nothing was run'],
  unreachable: [3, 'ComfyUI or the endpoint does not answer, or does not let you in'],
  timedOut: [
    4,
    'the job took longer than --timeout, or than the platform allows; it was cancelled',
  ],
  notSaved: [5, 'the job is done, but not all of its images could be saved'],
  cancelled: [130, 'cancelled with Ctrl-C'],
} as const;

export type Ending = keyof typeof EXIT_CODES;

export const exitCode = (ending: Ending): number => EXIT_CODES[ending][0];

/** The table, for `--help`. */
export function describeExitCodes(): string {
  const lines = Object.values(EXIT_CODES).map(
    ([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`,
  );
  return `\nExit codes:\n${lines.join('\n')}\n`;
}

/** How a command ends when it throws an error with this code. */
export function endingFor(code: ErrorCode): Ending {
  return ENDINGS[code] ?? 'failed';
}

const ENDINGS: Partial<Record<ErrorCode, Ending>> = {
  'usage.invalid': 'usage',
  'workflow.input_unknown': 'usage',
  'config.invalid': 'usage',
  'manifest.invalid': 'usage',
  'storage.misconfigured': 'usage',
  'comfy.unreachable': 'unreachable',
  'endpoint.unreachable': 'unreachable',
  'job.timeout': 'timedOut',
};
