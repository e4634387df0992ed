import { arch, cpus, platform, release, totalmem } from 'node:os';
import type { Summary } from './statistics.ts';
import type { MemoryOverTime } from './worker-process.ts';

/** The facts needed to interpret the figures later. */
export interface Report {
  readonly when: string;
  readonly machine: string;
  readonly node: string;
  readonly worker: string;
  readonly comfy: string;
  readonly figures: readonly Figures[];
}

export function newReport(worker: string, comfy: string): Report {
  const processors = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GB`;
  return {
    when: new Date().toISOString(),
    machine: `${processors.length} x ${processors[0]?.model.trim() ?? arch()}, ${memory}, ${platform()} ${release()}`,
    node: process.version,
    worker,
    comfy,
    figures: [],
  };
}

/** One row per scenario, medians only. */
export function toTable(figures: readonly Figures[]): string {
  const rows = [['scenario', ...ROWS.map(({ title }) => title)], ...figures.map(medians)];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join('  '))
    .map((line) => line.trimEnd())
    .join('\n');
}

/** One line per figure of a scenario; series with the 95th percentile and extremes. */
export function toLines(figures: Figures): string {
  const width = Math.max(...ROWS.map(({ title }) => title.length));
  return ROWS.flatMap(({ title, of, unit }) => {
    const value = of(figures);
    return value === undefined ? [] : [`  ${title.padEnd(width)}  ${inFull(value, unit)}`];
  }).join('\n');
}

interface Row {
  readonly title: string;
  readonly unit: Unit;
  readonly of: (figures: Figures) => number | Summary | undefined;
}

type Unit = 'count' | 'ms' | 'bytes';

const ROWS: readonly Row[] = [
  { title: 'count', unit: 'count', of: ({ count }) => count },
  { title: 'jobs/s', unit: 'count', of: ({ jobsPerS }) => jobsPerS },
  { title: 'first take', unit: 'ms', of: ({ firstTakeMs }) => firstTakeMs },
  { title: 'ComfyUI', unit: 'ms', of: ({ comfyMs }) => comfyMs },
  { title: 'overhead', unit: 'ms', of: ({ overheadMs }) => overheadMs },
  { title: 'ComfyUI idle', unit: 'ms', of: ({ idleMs }) => idleMs },
  { title: 'longest turn', unit: 'ms', of: ({ longestTurnMs }) => longestTurnMs },
  { title: 'CPU per job', unit: 'ms', of: ({ cpuMsPerJob }) => cpuMsPerJob },
  { title: 'result', unit: 'bytes', of: ({ resultBytes }) => resultBytes },
  { title: 'idle memory', unit: 'bytes', of: ({ idleBytes }) => idleBytes },
  { title: 'peak memory', unit: 'bytes', of: ({ peakBytes }) => peakBytes },
  { title: 'first third', unit: 'bytes', of: ({ memory }) => memory?.first },
  { title: 'second third', unit: 'bytes', of: ({ memory }) => memory?.second },
  { title: 'last third', unit: 'bytes', of: ({ memory }) => memory?.last },
];

function medians(figures: Figures): string[] {
  const cells = ROWS.map(({ of, unit }) => {
    const value = of(figures);
    if (value === undefined) return '-';
    return withUnit(typeof value === 'number' ? value : value.median, unit);
  });
  return [figures.scenario, ...cells];
}

function inFull(value: number | Summary, unit: Unit): string {
  if (typeof value === 'number') return withUnit(value, unit);
  const { median, p95, min, max } = value;
  const spread = [p95, min, max].map((one) => withUnit(one, unit));
  return `${withUnit(median, unit)} (95 %: ${spread[0]}; ${spread[1]} to ${spread[2]})`;
}

function withUnit(value: number, unit: Unit): string {
  switch (unit) {
    case 'count':
      return number(value);
    case 'ms':
      return `${number(value)} ms`;
    case 'bytes':
      return value < 100_000 ? `${number(value / 1e3)} kB` : `${number(value / 1e6)} MB`;
  }
}

function number(value: number): string {
  return value.toFixed(Number.isInteger(value) || value >= 100 ? 0 : 1);
}

/** The figures of a scenario. Undefined if not measured. */
export interface Figures {
  readonly scenario: string;
  /** Jobs, starts, or rounds. */
  readonly count: number;
  /** From the start of the process to its first request for jobs. */
  readonly firstTakeMs: Summary | undefined;
  readonly jobsPerS: number | undefined;
  /** From start to end of a prompt, by ComfyUI's clock. */
  readonly comfyMs: Summary | undefined;
  /** From taking the job to the result, minus ComfyUI's time. Only for single jobs; queued jobs also wait. */
  readonly overheadMs: Summary | undefined;
  /** ComfyUI's pauses between queued jobs. */
  readonly idleMs: Summary | undefined;
  /** The longest block of the event loop in each round, measured by the worker in steps of 10 ms. */
  readonly longestTurnMs: Summary | undefined;
  readonly resultBytes: Summary | undefined;
  readonly cpuMsPerJob: number | undefined;
  /** Resident memory before the first job. */
  readonly idleBytes: number | undefined;
  readonly peakBytes: number | undefined;
  readonly memory: MemoryOverTime | undefined;
}

export const NOT_MEASURED = {
  firstTakeMs: undefined,
  jobsPerS: undefined,
  comfyMs: undefined,
  overheadMs: undefined,
  idleMs: undefined,
  longestTurnMs: undefined,
  resultBytes: undefined,
  cpuMsPerJob: undefined,
  idleBytes: undefined,
  peakBytes: undefined,
  memory: undefined,
} as const satisfies Partial<Figures>;
