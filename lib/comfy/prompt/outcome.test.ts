import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import { executionMs, verdict } from './outcome.ts';

const quiet = { failure: undefined, interrupted: undefined };
const entry = (messages: unknown, status_str = 'success') =>
  JsonText.of({ status: { status_str, completed: true, messages } });

const failure = { node_type: 'A', node_id: '1', exception_message: 'm' };
const failed = 'Workflow execution error: Node Type: A, Node ID: 1, Message: m';

test('a cycle found at run time is a failure although status_str is success', () => {
  const messages = [
    ['execution_start', {}],
    ['execution_error', failure],
  ];
  expect(verdict(entry(messages), quiet)).toEqual({
    ending: 'failed',
    problem: failed,
    failedNode: '1',
  });
});

test('an interrupted prompt has not succeeded', () => {
  expect(verdict(entry([['execution_interrupted', failure]]), quiet).ending).toBe('interrupted');
});

test('a prompt has succeeded only if its messages say so', () => {
  expect(verdict(entry([['execution_success', {}]]), quiet)).toEqual({ ending: 'succeeded' });
  expect(verdict(entry([['execution_start', {}]]), quiet).ending).toBe('failed');
  expect(verdict(entry([], 'error'), quiet).ending).toBe('failed');
});

test('without messages in the history, the report of the socket decides', () => {
  const bare = JsonText.of({ outputs: {} });
  expect(verdict(bare, quiet)).toEqual({ ending: 'succeeded' });
  expect(verdict(bare, { ...quiet, failure: failed })).toEqual({
    ending: 'failed',
    problem: failed,
  });
  expect(verdict(bare, { ...quiet, interrupted: 'i' })).toEqual({
    ending: 'interrupted',
    problem: 'i',
  });
});

test("the execution time is measured by ComfyUI's own clock", () => {
  const messages = [
    ['execution_start', { timestamp: 1000 }],
    ['execution_success', { timestamp: 1250 }],
  ];
  expect(executionMs(entry(messages))).toBe(250);
  expect(executionMs(JsonText.of({}))).toBeUndefined();
});
