import type { JobView } from './job-view.ts';
import { exitCode, type Ending } from './exit-codes.ts';
import { isLink, readOutput, type Image } from './images.ts';
import { describePhases, kilobytes } from './report.ts';
import { saveImages, type SavedImage } from './save-images.ts';
import type { Screen } from './screen.ts';

export interface ConcludeOptions {
  readonly screen: Screen;
  readonly folder: string;
  readonly json: boolean;
  readonly signal: AbortSignal;
  readonly timings?: Readonly<Record<string, number>> | undefined;
}

/** Saves what an ended job has made and tells how it went. @returns the exit code. */
export async function concludeJob(job: JobView, options: ConcludeOptions): Promise<number> {
  const { screen, json, timings } = options;
  const { images, problems } = readOutput(job.output);
  const { saved, problems: unsaved } = await saveImages(images, options);
  const ending = endingOf(job, unsaved.length > 0);

  for (const image of saved) screen.note(`Image     ${image.path}  (${kilobytes(image.bytes)})`);
  for (const problem of [...problems, ...unsaved]) screen.problem(`Problem   ${problem}`);
  if (timings) screen.note(`Phases    ${describePhases(timings)}`);
  if (job.error !== undefined) screen.problem(`Error     ${readable(job.error)}`);
  screen.note(`Job       ${job.jobId}   ${job.status}${times(job)}`);
  if (json)
    screen.data(toJson(job, { images, saved, problems: [...problems, ...unsaved], timings }));
  return exitCode(ending);
}

function endingOf({ status }: JobView, isUnsaved: boolean): Ending {
  if (status === 'COMPLETED') return isUnsaved ? 'notSaved' : 'done';
  if (status === 'CANCELLED') return 'cancelled';
  return status === 'TIMED_OUT' ? 'timedOut' : 'failed';
}

interface Told {
  readonly images: readonly Image[];
  readonly saved: readonly SavedImage[];
  readonly problems: readonly string[];
  readonly timings: Readonly<Record<string, number>> | undefined;
}

/** One line for programs. Images are in files by now; only links are repeated. */
function toJson(job: JobView, { images, saved, problems, timings }: Told): string {
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

function times({ delayTime, executionTime }: JobView): string {
  const waited = delayTime === undefined ? '' : `   waited ${seconds(delayTime)}`;
  return executionTime === undefined ? waited : `${waited}   ran ${seconds(executionTime)}`;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** The Python SDK reports an exception as JSON with its text in `error_message`. */
function readable(error: string): string {
  return /"error_message":\s*"((?:[^"\\]|\\.)*)"/.exec(error)?.[1] ?? error;
}
