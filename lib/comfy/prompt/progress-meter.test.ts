import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import type { PromptEvent } from '../transport/messages.ts';
import { ProgressMeter } from './progress-meter.ts';

const workflow = JsonText.of({
  1: { class_type: 'CheckpointLoaderSimple', inputs: {} },
  2: { class_type: 'KSampler', inputs: { latent_image: ['5', 0] }, _meta: { title: 'Paint' } },
  3: { class_type: 'SaveImage', inputs: {} },
});

const percents = (events: readonly PromptEvent[]) => {
  const meter = new ProgressMeter(workflow);
  return events.map((event) => meter.record(event, 0)?.percent);
};

test('a sampler counts as ten nodes', () => {
  expect(
    percents([
      { type: 'executing', node: '1' },
      { type: 'executing', node: '2' },
      { type: 'progress', node: '2', value: 10, max: 20 },
      { type: 'executing', node: '3' },
      { type: 'succeeded' },
    ]),
  ).toEqual([0, 8, 50, 91, 100]);
});

test('the percentage never falls, even when steps start over', () => {
  expect(
    percents([
      { type: 'progress', node: '2', value: 18, max: 20 },
      { type: 'progress', node: '2', value: 1, max: 40 },
      { type: 'progress', node: '2', value: -5, max: 0 },
    ]),
  ).toEqual([75, 75, 75]);
});

test('cached nodes count as finished', () => {
  expect(
    percents([
      { type: 'cached', nodes: ['1', '2'] },
      { type: 'executing', node: '3' },
    ]),
  ).toEqual([undefined, 91]);
});

test('a fully cached prompt reports its output node', () => {
  const meter = new ProgressMeter(workflow);
  meter.record({ type: 'cached', nodes: ['1', '2', '3'] }, 0);
  expect(meter.record({ type: 'executed', node: '3', output: undefined }, 0)).toEqual({
    percent: 100,
    node: '3',
    nodeTitle: 'SaveImage',
  });
});

test('inside an expanded node the visible node is reported', () => {
  const meter = new ProgressMeter(workflow);
  meter.record({ type: 'executing', node: '2' }, 0);
  expect(meter.record({ type: 'progress', node: '2.0.0.1', value: 1, max: 2 }, 0)).toEqual({
    percent: 41,
    node: '2',
    nodeTitle: 'Paint',
    step: 1,
    steps: 2,
  });
});

test('unchanged progress is not reported', () => {
  const meter = new ProgressMeter(workflow);
  meter.record({ type: 'executing', node: '1' }, 0);
  expect(meter.record({ type: 'executing', node: '1' }, 0)).toBeUndefined();
  expect(meter.record({ type: 'started' }, 0)).toBeUndefined();
});

test('a node is at work until the next one begins or the prompt ends', () => {
  const meter = new ProgressMeter(workflow);
  meter.record({ type: 'started' }, 0);
  meter.record({ type: 'cached', nodes: ['1'] }, 1);
  meter.record({ type: 'executing', node: '2' }, 10);
  meter.record({ type: 'progress', node: '2', value: 1, max: 2 }, 20);
  meter.record({ type: 'executing', node: '3' }, 35);
  meter.record({ type: 'executing', node: '2' }, 40);
  meter.record({ type: 'succeeded' }, 47);
  meter.record({ type: 'done' }, 60);
  expect(meter.nodeMs).toEqual({ 2: 32, 3: 5 });
});

test('the time of a node that raises is counted', () => {
  const meter = new ProgressMeter(workflow);
  meter.record({ type: 'executing', node: '2' }, 10);
  meter.record({ type: 'done' }, 15);
  expect(meter.nodeMs).toEqual({ 2: 5 });
});
