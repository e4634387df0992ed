/**
 * Runs thousands of small jobs while processes are killed and stopped, connections break and peers lie, and counts what
 * became of each job. `--help` lists the options; docs/reliability.md says what is checked.
 */
import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { describeError } from '../lib/errors.ts';
import { judge } from './chaos/judge.ts';
import { toBreachText, toReport, toTable } from './chaos/report.ts';
import { runChaos } from './chaos/run-chaos.ts';

const USAGE = `npm run chaos -- [options]

  --jobs N      jobs to run (2000)
  --seed S      repeats the faults and the jobs of an earlier run (random; it is printed)
  --every N     jobs between two faults, on average (20)
  --heap MB     fixes the heap of the worker, which then lives for the whole run; memory is
                asserted with 30000 jobs and more
  --json FILE   also write the figures as JSON
  --log FILE    keep the log of the worker
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      jobs: { type: 'string', default: '2000' },
      seed: { type: 'string' },
      every: { type: 'string', default: '20' },
      heap: { type: 'string' },
      json: { type: 'string' },
      log: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const seed =
    values.seed === undefined
      ? Math.floor(Math.random() * 1_000_000)
      : wholeNumber('--seed', values.seed);
  console.log(`seed ${seed}`);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => interrupted.abort(new Error(`Ended by ${signal}`)));
  const startedAt = performance.now();
  const { story, comfyStarts } = await runChaos({
    seed,
    jobs: wholeNumber('--jobs', values.jobs),
    every: wholeNumber('--every', values.every),
    heapMb: values.heap === undefined ? undefined : wholeNumber('--heap', values.heap),
    keepLog: values.log,
    say: (line) => console.log(line),
    signal: interrupted.signal,
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const breaches = judge(story);
  const report = toReport(story, breaches, { seed, seconds, comfyStarts });
  console.log(`\n${toTable(report)}`);
  if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);
  if (breaches.length === 0) return 0;
  console.error(`\nseed ${seed}\n${toBreachText(breaches, story)}`);
  return 1;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new Error(`${name} takes a whole number above 0, got "${text}"`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeError(error));
  process.exitCode = 1;
}
