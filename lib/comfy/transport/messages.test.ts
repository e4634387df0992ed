import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parseMessage } from './messages.ts';

const parse = (frame: unknown) =>
  parseMessage(Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame)));

/** Parses the text frames of a recording of a real ComfyUI. @returns the types of the messages. */
function replay(scenario: string): string[] {
  const file = new URL(
    `../../../test_resources/transcripts/comfyui-0.8.0/${scenario}.jsonl`,
    import.meta.url,
  );
  const lines = readFileSync(file, 'utf8').trim().split('\n');
  return lines.flatMap((line) => {
    const { kind, message } = JSON.parse(line) as { kind: string; message?: { binary?: boolean } };
    if (kind !== 'ws-recv' || message?.binary) return [];
    return parse(message)?.type ?? [];
  });
}

test('a recorded run is parsed into its events', () => {
  const events = replay('success').filter((type) => type !== 'status');
  expect(events).toEqual([
    ...['started', 'cached', 'executing', 'executing', 'progress', 'progress', 'progress'],
    ...['executing', 'executed', 'succeeded', 'done'],
  ]);
});

test('a recorded failure and a recorded interrupt are parsed', () => {
  expect(replay('node_raises')).toContain('failed');
  expect(replay('interrupted')).toContain('interrupted');
});

test('executing with a null node or without a node is the end', () => {
  expect(parse({ type: 'executing', data: { node: null, prompt_id: 'p' } })).toEqual({
    promptId: 'p',
    type: 'done',
  });
  expect(parse({ type: 'executing', data: { prompt_id: 'p' } })).toEqual({
    promptId: 'p',
    type: 'done',
  });
});

test('executing inside an expanded node names the visible node', () => {
  const data = { node: '5.0.0.1', display_node: '5', prompt_id: 'p' };
  expect(parse({ type: 'executing', data })).toEqual({
    promptId: 'p',
    type: 'executing',
    node: '5',
  });
});

test('an output keeps the order of its files and the digits of its numbers', () => {
  const message = parse(
    '{"type":"executed","data":{"node":"9","prompt_id":"p","output":{"b":[1.0],"1":[NaN,18446744073709551615]}}}',
  );
  expect(message).toMatchObject({ type: 'executed', node: '9' });
  expect(message?.type === 'executed' && message.output?.text).toBe(
    '{"b":[1.0],"1":[NaN,18446744073709551615]}',
  );
});

test('a failure has node and reason, and None for missing fields', () => {
  const data = {
    prompt_id: 'p',
    node_id: 5,
    node_type: 'VAEDecode',
    traceback: ['a', 'b', 'c', 'd'],
  };
  expect(parse({ type: 'execution_error', data })).toEqual({
    promptId: 'p',
    type: 'failed',
    failure: {
      nodeId: '5',
      nodeType: 'VAEDecode',
      message: 'None',
      exceptionType: 'None',
      traceback: ['b', 'c', 'd'],
    },
  });
});

test.each([
  '',
  '{',
  'null',
  '[]',
  '"x"',
  '{"type":"executing"}',
  '{"type":"executing","data":[]}',
  '{"type":"progress","data":{"prompt_id":"p","node":"1"}}',
])('an unusable frame is ignored: %s', (frame) => expect(parse(frame)).toBeUndefined());
