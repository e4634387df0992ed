import { historyOf, type InjectedFault, type RunStory } from './stories.ts';
import { megabytes, memoryOverTime, type Breach } from './judge.ts';

/** The figures of a run; also its JSON. */
export interface ChaosReport {
  readonly seed: number;
  readonly jobs: number;
  readonly seconds: number;
  readonly faults: readonly FaultFigures[];
  /** Jobs by how they ended; failures by the beginning of their text. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Runs in ComfyUI beyond the first of each job. */
  readonly replays: number;
  readonly redeliveries: number;
  readonly workerStarts: number;
  readonly comfyStarts: number;
  /** Medians of the worker's resident memory in the three thirds of the run, in bytes. */
  readonly memory: { readonly first: number; readonly second: number; readonly last: number };
  readonly breaches: readonly string[];
}

interface FaultFigures {
  readonly kind: string;
  readonly count: number;
  /** From the fault to the end of the next job that started after it, in milliseconds. */
  readonly medianRecoveryMs: number;
  readonly slowestRecoveryMs: number;
}

export interface RunFacts {
  readonly seed: number;
  readonly seconds: number;
  readonly comfyStarts: number;
}

export function toReport(
  run: RunStory,
  breaches: readonly Breach[],
  { seed, seconds, comfyStarts }: RunFacts,
): ChaosReport {
  const executions = executionsOf(run);
  const byKind = Map.groupBy(run.faults, ({ kind }) => kind);
  const faults = [...byKind].map(([kind, injected]): FaultFigures => {
    const times = injected
      .map((fault) => recoveryOf(fault, executions))
      .filter((ms) => ms !== undefined)
      .sort((a, b) => a - b);
    return {
      kind,
      count: injected.length,
      medianRecoveryMs: times[Math.floor(times.length / 2)] ?? 0,
      slowestRecoveryMs: times.at(-1) ?? 0,
    };
  });
  const outcomes = Map.groupBy(run.jobs, ({ status, error }) =>
    status === 'FAILED' ? `FAILED: ${firstWords(error)}` : status,
  );
  const startsOf = (runs: RunStory['jobs'][number]['runs']) =>
    runs.filter(({ what }) => what === 'started').length;
  return {
    ...{ seed, seconds, comfyStarts },
    jobs: run.jobs.length,
    faults: faults.sort((a, b) => a.kind.localeCompare(b.kind)),
    outcomes: Object.fromEntries([...outcomes].map(([how, jobs]) => [how, jobs.length])),
    replays: sum(run.jobs.map(({ runs }) => Math.max(0, startsOf(runs) - 1))),
    redeliveries: sum(run.jobs.map(({ redeliveries }) => redeliveries.length)),
    workerStarts: run.workerEnds.length,
    memory: memoryOverTime(run.memory),
    breaches: breaches.map(({ text, job }) => (job ? `${job.jobId}: ${text}` : text)),
  };
}

/** The table of a report, in Markdown, so that it can be pasted into docs/reliability.md. */
export function toTable(report: ChaosReport): string {
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  const { memory } = report;
  return [
    `${report.jobs} jobs, seed ${report.seed}, ${Math.round(report.seconds)} s; ` +
      `worker started ${report.workerStarts} times, ComfyUI ${report.comfyStarts} times`,
    '',
    '| fault | count | next job executed, median | slowest |',
    '| --- | --- | --- | --- |',
    ...report.faults.map(
      ({ kind, count, medianRecoveryMs, slowestRecoveryMs }) =>
        `| ${kind} | ${count} | ${seconds(medianRecoveryMs)} | ${seconds(slowestRecoveryMs)} |`,
    ),
    '',
    '| outcome | jobs |',
    '| --- | --- |',
    ...Object.entries(report.outcomes).map(([how, count]) => `| ${how} | ${count} |`),
    `| handed out again by the platform | ${report.redeliveries} |`,
    `| run again by ComfyUI (replays) | ${report.replays} |`,
    '',
    `Memory of the worker, medians of the thirds: ${[memory.first, memory.second, memory.last].map(megabytes).join(', ')}`,
  ].join('\n');
}

/** For each broken invariant: the job, and its history. */
export function toBreachText(breaches: readonly Breach[], { faults }: RunStory): string {
  const shown = breaches.slice(0, SHOWN_BREACHES).map(({ text, job }) => {
    if (!job) return `BROKEN  ${text}`;
    return [`BROKEN  job ${job.jobId}: ${text}`, ...historyOf(job, faults)].join('\n');
  });
  const rest = breaches.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${rest} more`] : [])].join('\n\n');
}

interface Execution {
  readonly startedAt: number;
  readonly endedAt: number;
}

/** Completed executions by their start. */
function executionsOf({ jobs }: RunStory): Execution[] {
  const all = jobs.flatMap(({ runs }) =>
    runs.flatMap((run, index) => {
      const next = runs[index + 1];
      if (run.what !== 'started' || next?.what !== 'executed') return [];
      return [{ startedAt: run.at, endedAt: next.at }];
    }),
  );
  return all.sort((a, b) => a.startedAt - b.startedAt);
}

function recoveryOf({ at }: InjectedFault, executions: readonly Execution[]): number | undefined {
  const next = executions.find(({ startedAt }) => startedAt > at);
  return next && next.endedAt - at;
}

/** Without the parts that differ from job to job. */
function firstWords(text = ''): string {
  const line = text.split('\n', 1)[0] ?? '';
  return line.replaceAll(/chaos-\d+-\d+|[0-9a-f]{8}-[0-9a-f-]{27}|\d+/g, '*').slice(0, 100);
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
const SHOWN_BREACHES = 20;
