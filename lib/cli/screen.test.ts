import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { maybeStep, ProgressBar, type Step } from './screen.ts';

const STEPS: readonly Step[] = [
  { percent: 10, nodeTitle: 'Load' },
  { percent: 50, nodeTitle: 'Sample', step: 1, steps: 2 },
  { percent: 90, nodeTitle: 'Sample', step: 2, steps: 2 },
];

function draw(terminal: { isTTY: boolean; columns?: number }): string {
  const out = Object.assign(new PassThrough(), terminal) as unknown as NodeJS.WriteStream;
  using bar = new ProgressBar(out);
  for (const step of STEPS) bar.show(step);
  bar.end();
  return String((out as unknown as PassThrough).read());
}

test('on a terminal one line is redrawn, never wider than the terminal, and left at the end', () => {
  const text = draw({ isTTY: true, columns: 40 });
  expect(text.split('\n')).toHaveLength(2);
  const drawings = text.trimEnd().split('\r\u001b[K').slice(1);
  expect(drawings).toHaveLength(3);
  for (const drawing of drawings) expect(drawing.length).toBeLessThanOrEqual(42);
  expect(draw({ isTTY: true, columns: 80 })).toContain(' 50 %  Sample  1/2');
});

test('in a pipe each node gets one plain line', () => {
  expect(draw({ isTTY: false })).toBe('   10 %  Load\n   50 %  Sample  1/2\n');
});

test('progress in another shape is ignored', () => {
  expect(maybeStep('half way')).toBeUndefined();
  expect(maybeStep({ percent: 'x' })).toBeUndefined();
  expect(maybeStep(STEPS[1])).toEqual(STEPS[1]);
});
