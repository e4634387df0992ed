import type { JobRecord } from './job-record.ts';
import type { MemoryLimits } from './settings.ts';

/**
 * Keeps what is remembered within its limits. Jobs that wait or run are never touched. Of ended ones the oldest gives up its
 * output first, so that the newest result is the last to go.
 * @returns ended jobs that are too many altogether, oldest first.
 */
export function saveMemory(jobs: readonly JobRecord[], limits: MemoryLimits): JobRecord[] {
  const ended = jobs
    .filter((job) => job.isOver)
    .sort((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0));
  let bytes = jobs.reduce((sum, job) => sum + job.bytes, 0);
  for (const job of ended) {
    if (bytes <= limits.bytes) break;
    bytes -= job.bytes;
    job.dropOutput();
    bytes += job.bytes;
  }
  return ended.slice(0, Math.max(0, ended.length - limits.records));
}
