import { expect, test } from '@jest/globals';
import type { PromptOutcome } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import { toJobError } from '../lib/queues/queue.ts';
import { toFailure, toResult } from './result.ts';

const item = { filename: 'a.png', type: 'base64', data: 'AAAA' } as const;

const outcome = (ending: PromptOutcome['ending'], ...problems: string[]): PromptOutcome => ({
  promptId: 'p1',
  ending,
  problems,
  outputs: undefined,
  timings: { queuedMs: 0, startedMs: 0, endedMs: 0, readMs: 0, executionMs: undefined, nodes: {} },
});

test.each([
  [
    'images',
    outcome('succeeded'),
    [item],
    [],
    '{"images":[{"filename":"a.png","type":"base64","data":"AAAA"}]}',
  ],
  [
    'images and problems',
    outcome('failed', 'p'),
    [item],
    ['q'],
    '{"images":[{"filename":"a.png","type":"base64","data":"AAAA"}],"errors":["p","q"]}',
  ],
  [
    'nothing, and no problem',
    outcome('succeeded'),
    [],
    [],
    '{"status":"success_no_images","images":[]}',
  ],
  [
    'nothing but problems',
    outcome('failed', 'p'),
    [],
    ['q'],
    '{"error":"Job processing failed","details":["p","q"]}',
  ],
  [
    'an interrupted prompt',
    outcome('interrupted', 'w', 'cut'),
    [item],
    ['q'],
    '{"error":"cut","details":["w","q"],"images":[{"filename":"a.png","type":"base64","data":"AAAA"}]}',
  ],
  [
    'an interrupted prompt without images',
    outcome('interrupted', 'cut'),
    [],
    [],
    '{"error":"cut"}',
  ],
])('the result of %s, keys in order', (_case, ended, items, problems, text) => {
  expect(JSON.stringify(toResult(ended, { outputs: { images: items }, problems }))).toBe(text);
});

test('an error of ours keeps its text and details, and nothing else', () => {
  const error = new WorkerError('input.upload_failed', 'Failed', {
    details: ['a'],
    cause: new Error('secret path'),
  });
  expect(toFailure(error)).toEqual({
    error: toJobError('input.upload_failed', 'Failed'),
    output: { details: ['a'] },
  });
  expect(toFailure(new WorkerError('comfy.unreachable', 'down'))).toEqual({
    error: toJobError('comfy.unreachable', 'down'),
  });
});

test('an unexpected error is told without stack', () => {
  expect(toFailure(new TypeError('x is not a function'))).toEqual({
    error: toJobError('worker.unexpected', 'An unexpected error occurred: x is not a function'),
  });
});

const video = { filename: 'v.mp4', type: 'base64', data: 'AA' } as const;
const text = { nodeId: '1', key: 'text', text: 'a' } as const;

test.each([
  ['a video alone', 'succeeded', { images: [], videos: [video] }, '{"images":[],"videos":[V]}'],
  ['a text alone', 'succeeded', { images: [], texts: [text] }, '{"images":[],"texts":[T]}'],
  [
    'a video and a problem',
    'failed',
    { images: [], videos: [video] },
    '{"images":[],"videos":[V],"errors":["p"]}',
  ],
  [
    'a text does not make up for a failure',
    'failed',
    { images: [], texts: [text] },
    '{"error":"Job processing failed","details":["p"],"texts":[T]}',
  ],
  [
    'an interrupted prompt',
    'interrupted',
    { images: [], videos: [video], texts: [text] },
    '{"error":"p","videos":[V],"texts":[T]}',
  ],
] as const)(
  'what else a workflow makes comes beside images: %s',
  (_case, ending, outputs, json) => {
    const ended = ending === 'succeeded' ? outcome(ending) : outcome(ending, 'p');
    const expected = json.replace('V', JSON.stringify(video)).replace('T', JSON.stringify(text));
    expect(JSON.stringify(toResult(ended, { outputs, problems: [] }))).toBe(expected);
  },
);

test('fewer than expected is a failure that says what came, and hands it over', () => {
  const outputs = { images: [item], videos: [video] };
  const result = toResult(outcome('succeeded'), {
    outputs,
    problems: ['q'],
    expect: { images: 2, videos: 1, texts: 1 },
  });
  expect(result).toEqual({
    error: 'Expected 2 images, 1 video, 1 text; what came is 1 image (a.png), 1 video (v.mp4)',
    details: ['q'],
    ...outputs,
  });
});

test('as many as expected, or more, is a success', () => {
  const outputs = { images: [item, item] };
  const expect_ = { images: 1, videos: 0 };
  expect(toResult(outcome('succeeded'), { outputs, problems: [], expect: expect_ })).toEqual(
    outputs,
  );
});
