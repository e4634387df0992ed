import { expect, test } from '@jest/globals';
import { silentLog } from '../lib/comfy/test-comfy.ts';
import type { PromptOutcome } from '../lib/comfy/backend.ts';
import { WorkerError } from '../lib/errors.ts';
import type { JobResult } from '../lib/queues/queue.ts';
import { toFailure, toResult } from './result.ts';

const item = { filename: 'a.png', type: 'base64', data: 'AAAA' } as const;
const video = { filename: 'v.mp4', type: 'base64', data: 'AA' } as const;
const text = { nodeId: '1', key: 'text', text: 'a' } as const;
const ITEM = JSON.stringify(item);
const VIDEO = JSON.stringify(video);
const TEXT = JSON.stringify(text);

const outcome = (ending: PromptOutcome['ending'], ...problems: string[]): PromptOutcome => ({
  promptId: 'p1',
  ending,
  problems,
  outputs: undefined,
  timings: { queuedMs: 0, startedMs: 0, endedMs: 0, readMs: 0, executionMs: undefined, nodes: {} },
});

/** A result as RunPod's clients read it, with the keys in order. */
const asPosted = ({ output, error }: JobResult) =>
  JSON.stringify({ output, error: error?.message });

test.each([
  ['images', outcome('succeeded'), { images: [item] }, [], `{"output":{"images":[${ITEM}]}}`],
  [
    'images and problems',
    outcome('failed', 'p'),
    { images: [item] },
    ['q'],
    `{"output":{"images":[${ITEM}],"errors":["p","q"]}}`,
  ],
  [
    'no files and no problems',
    outcome('succeeded'),
    { images: [] },
    [],
    '{"output":{"status":"success_no_images","images":[]}}',
  ],
  [
    'problems without files',
    outcome('failed', 'p'),
    { images: [] },
    ['q'],
    '{"output":{"details":["p","q"]},"error":"Job processing failed"}',
  ],
  [
    'an interrupted prompt',
    outcome('interrupted', 'w', 'cut'),
    { images: [item] },
    ['q'],
    `{"output":{"details":["w","q"],"images":[${ITEM}]},"error":"cut"}`,
  ],
  [
    'an interrupted prompt without images',
    outcome('interrupted', 'cut'),
    { images: [] },
    [],
    '{"error":"cut"}',
  ],
  [
    'a video alone',
    outcome('succeeded'),
    { images: [], videos: [video] },
    [],
    `{"output":{"images":[],"videos":[${VIDEO}]}}`,
  ],
  [
    'a text alone',
    outcome('succeeded'),
    { images: [], texts: [text] },
    [],
    `{"output":{"images":[],"texts":[${TEXT}]}}`,
  ],
  [
    'a video and a problem',
    outcome('failed', 'p'),
    { images: [], videos: [video] },
    [],
    `{"output":{"images":[],"videos":[${VIDEO}],"errors":["p"]}}`,
  ],
  [
    'a text, which does not make up for a failure',
    outcome('failed', 'p'),
    { images: [], texts: [text] },
    [],
    `{"output":{"details":["p"],"texts":[${TEXT}]},"error":"Job processing failed"}`,
  ],
  [
    'an interrupted prompt with a video and a text',
    outcome('interrupted', 'p'),
    { images: [], videos: [video], texts: [text] },
    [],
    `{"output":{"videos":[${VIDEO}],"texts":[${TEXT}]},"error":"p"}`,
  ],
])('the result of %s, keys in order', (_case, ended, outputs, problems, posted) => {
  expect(asPosted(toResult(ended, { outputs, problems }))).toBe(posted);
});

test.each([
  {
    name: 'an interrupted prompt',
    ended: outcome('interrupted', 'cut'),
    fileCounts: { listed: 0, fetched: 0 },
    code: 'comfy.interrupted',
  },
  {
    name: 'a failed prompt',
    ended: outcome('failed', 'p'),
    fileCounts: { listed: 1, fetched: 0 },
    code: 'comfy.execution_failed',
  },
  {
    name: 'a prompt without outputs',
    ended: outcome('succeeded'),
    fileCounts: { listed: 0, fetched: 0 },
    code: 'comfy.execution_failed',
  },
  {
    name: 'files that could not be fetched',
    ended: outcome('succeeded'),
    fileCounts: { listed: 1, fetched: 0 },
    code: 'comfy.request_failed',
  },
  {
    name: 'files that could not be stored',
    ended: outcome('succeeded'),
    fileCounts: { listed: 1, fetched: 1 },
    code: 'storage.upload_failed',
  },
])('the error code of $name', ({ ended, fileCounts, code }) => {
  const { error } = toResult(ended, { outputs: { images: [] }, problems: ['q'], fileCounts });
  expect(error?.code).toBe(code);
});

test('an error of the worker gives its code, text and details, and nothing else', () => {
  const error = new WorkerError('input.upload_failed', 'Failed', {
    details: ['a'],
    cause: new Error('secret path'),
  });
  const code = 'input.upload_failed';
  expect(toFailure(error, silentLog)).toEqual({
    output: { details: ['a'] },
    error: { code, message: 'Failed', retryable: true, owner: 'caller' },
  });
  expect(asPosted(toFailure(new WorkerError('comfy.unreachable', 'down'), silentLog))).toBe(
    '{"error":"down"}',
  );
});

test('an unexpected error is reported without its stack', () => {
  const { output, error } = toFailure(new TypeError('x is not a function'), silentLog);
  expect(output).toBeUndefined();
  expect(error).toMatchObject({
    code: 'worker.unexpected',
    message: 'An unexpected error occurred: x is not a function',
  });
});

test('fewer outputs than expected are a failure that lists them and returns them', () => {
  const outputs = { images: [item], videos: [video] };
  const result = toResult(outcome('succeeded'), {
    outputs,
    problems: ['q'],
    expect: { images: 2, videos: 1, texts: 1 },
  });
  expect(result).toMatchObject({ error: { code: 'output.too_few' } });
  expect(result.error?.message).toBe(
    'Expected 2 images, 1 video, 1 text; what came is 1 image (a.png), 1 video (v.mp4)',
  );
  expect(result.output).toEqual({ details: ['q'], ...outputs });
});

test('as many outputs as expected, or more, are a success', () => {
  const outputs = { images: [item, item] };
  const expected = { images: 1, videos: 0 };
  expect(toResult(outcome('succeeded'), { outputs, problems: [], expect: expected })).toEqual({
    output: outputs,
  });
});
