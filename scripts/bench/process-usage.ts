import { readdir, readFile } from 'node:fs/promises';

/** CPU time and memory of a process and all its descendants. */
export interface Usage {
  /** User and system time since the start, in steps of 10 ms. */
  readonly cpuMs: number;
  readonly residentBytes: number;
  /** The sum of the peaks of all processes. */
  readonly peakBytes: number;
}

/** Read from `/proc`. Undefined on other systems than Linux, and when the process has ended. */
export async function usageOf(pid: number): Promise<Usage | undefined> {
  const tree = familyOf(pid, await allProcesses());
  if (tree.length === 0) return undefined;
  const memories = await Promise.all(tree.map(({ pid }) => memoryOf(pid)));
  return {
    cpuMs: sum(tree.map(({ cpuTicks }) => cpuTicks)) * TICK_MS,
    residentBytes: sum(memories.map(({ residentBytes }) => residentBytes)),
    peakBytes: sum(memories.map(({ peakBytes }) => peakBytes)),
  };
}

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
  /** Including children that have ended. */
  readonly cpuTicks: number;
}

async function allProcesses(): Promise<ProcessEntry[]> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name));
  const entries = await Promise.all(pids.map((pid) => maybeProcess(Number(pid))));
  return entries.filter((entry) => entry !== undefined);
}

async function maybeProcess(pid: number): Promise<ProcessEntry | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return stat === undefined ? undefined : parseStat(stat);
}

/** Fields of proc(5). The name in parentheses may itself contain spaces and parentheses. */
export function parseStat(stat: string): ProcessEntry {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number) => Number(fields[number - 3]);
  return {
    pid: Number.parseInt(stat),
    parent: field(4),
    cpuTicks: field(14) + field(15) + field(16) + field(17),
  };
}

function familyOf(pid: number, processes: readonly ProcessEntry[]): ProcessEntry[] {
  const own = processes.filter((entry) => entry.pid === pid);
  const children = processes.filter((entry) => entry.parent === pid);
  return [...own, ...children.flatMap((child) => familyOf(child.pid, processes))];
}

async function memoryOf(pid: number): Promise<Pick<Usage, 'residentBytes' | 'peakBytes'>> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0);
  return { residentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Clock ticks in `/proc` are hundredths of a second. */
const TICK_MS = 10;
