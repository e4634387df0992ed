import { expect, test } from '@jest/globals';
import { WorkerError } from '../lib/errors.ts';
import { toFailure, toResult } from './result.ts';

const item = { filename: 'a.png', type: 'base64', data: 'AAAA' } as const;

test.each([
  [
    'images',
    { items: [item], problems: [] },
    '{"images":[{"filename":"a.png","type":"base64","data":"AAAA"}]}',
  ],
  [
    'images and problems',
    { items: [item], problems: ['p'] },
    '{"images":[{"filename":"a.png","type":"base64","data":"AAAA"}],"errors":["p"]}',
  ],
  [
    'nothing, and no problem',
    { items: [], problems: [] },
    '{"status":"success_no_images","images":[]}',
  ],
  [
    'nothing but problems',
    { items: [], problems: ['p', 'q'] },
    '{"error":"Job processing failed","details":["p","q"]}',
  ],
])('the result of %s, keys in order', (_case, parts, text) => {
  expect(JSON.stringify(toResult({ ending: 'succeeded', ...parts }))).toBe(text);
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
