import { readFile } from 'node:fs/promises';
import { errnoOf } from '../errors.ts';

/** A process as Linux describes it in `/proc/<pid>/stat`. */
export interface ProcessStat {
  readonly state: string;
  readonly group: number;
  /** Memory that had to be read from a disk. */
  readonly pageFaults: number;
  /** User and system time. */
  readonly ticks: number;
  /** Ticks since the machine started; with the pid it names one process. */
  readonly startedAt: string;
}

/** Undefined when there is no such process, or no `/proc`. */
export async function statOf(pid: number | string): Promise<ProcessStat | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  if (text === '') return undefined;
  // The name of the command, in parentheses, may hold anything. Fields are numbered in `man 5 proc`; the first here is 3.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] ?? '',
    group: Number(fields[2]),
    pageFaults: Number(fields[9]),
    ticks: Number(fields[11]) + Number(fields[12]),
    startedAt: fields[19] ?? '',
  };
}

/** A process that has ended, but was not yet reaped by its parent, is a zombie. */
export const isZombie = ({ state }: ProcessStat): boolean => /^[ZX]/.test(state);

/** Whether there is a process with this pid, also a zombie, or one that belongs to somebody else (`EPERM`). */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== 'ESRCH';
  }
}
