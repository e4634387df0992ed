import { expect, test } from '@jest/globals';
import { toLines, toTable, type Figures } from './report.ts';

const summary = (median: number) => ({ count: 3, median, p95: median * 2, min: 1, max: 90 });

const TINY: Figures = {
  scenario: 'tiny',
  count: 3,
  jobsPerS: 81.27,
  firstTakeMs: undefined,
  comfyMs: summary(5),
  overheadMs: summary(2.25),
  idleMs: undefined,
  longestTurnMs: undefined,
  resultBytes: summary(1234),
  cpuMsPerJob: 1.5,
  idleBytes: 100_000_000,
  peakBytes: 98_765_432,
  memory: undefined,
};

test('the report of a scenario has one line per figure, without figures that were not measured', () => {
  expect(toLines(TINY).split('\n')).toEqual([
    '  count         3',
    '  jobs/s        81.3',
    '  ComfyUI       5 ms (95 %: 10 ms; 1 ms to 90 ms)',
    '  overhead      2.3 ms (95 %: 4.5 ms; 1 ms to 90 ms)',
    '  CPU per job   1.5 ms',
    '  result        1.2 kB (95 %: 2.5 kB; 0.0 kB to 0.1 kB)',
    '  idle memory   100 MB',
    '  peak memory   98.8 MB',
  ]);
});

test('the table has a row per scenario, with medians under their headings', () => {
  const [heading, tiny, soak] = toTable([TINY, { ...TINY, scenario: 'soak' }]).split('\n');
  expect(tiny).toMatch(
    /^tiny +3 +81\.3 +- +5 ms +2\.3 ms +- +- +1\.5 ms +1\.2 kB +100 MB +98\.8 MB +- +- +-$/,
  );
  expect(tiny?.indexOf('2.3 ms')).toBe(heading?.indexOf('overhead'));
  expect(soak).toMatch(/^soak /);
});
