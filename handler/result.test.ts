import { expect, test } from '@jest/globals';
import type { PromptOutcome } from '../lib/comfy/comfy.ts';
import { WorkerError } from '../lib/errors.ts';
import { toFailure, toResult } from './result.ts';

const item = { filename: 'a.png', type: 'base64', data: 'AAAA' } as const;

const outcome = (ending: PromptOutcome['ending'], ...problems: string[]): PromptOutcome => ({
  promptId: 'p1',
  ending,
  problems,
  outputs: undefined,
  timings: { queuedMs: 0, startedMs: 0, endedMs: 0, readMs: 0, executionMs: undefined },
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
  expect(JSON.stringify(toResult(ended, { items, problems }))).toBe(text);
});

test('an error of ours keeps its text and details, and nothing else', () => {
  const error = new WorkerError('input.upload_failed', 'Failed', {
    details: ['a'],
    cause: new Error('secret path'),
  });
  expect(toFailure(error)).toEqual({ error: 'Failed', details: ['a'] });
  expect(toFailure(new WorkerError('comfy.unreachable', 'down'))).toEqual({ error: 'down' });
});

test('an unexpected error is told without stack', () => {
  expect(toFailure(new TypeError('x is not a function'))).toEqual({
    error: 'An unexpected error occurred: x is not a function',
  });
});
