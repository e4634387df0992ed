import { expect, test } from '@jest/globals';
import { recognise } from './recognise.js';

const WORKFLOW = '{"1": {"class_type": "A", "inputs": {"n": 1.0}}}';
const EDITOR = '{"last_node_id": 2, "nodes": [{"id": 1}], "links": []}';

test('a workflow, a job, an input and a body of /prompt become the same request', () => {
  expect(recognise(WORKFLOW).text).toBe(`{"input":{"workflow":${WORKFLOW}}}`);
  expect(recognise(`{"input": {"workflow": ${WORKFLOW}}}`).text).toBe(
    `{"input": {"workflow": ${WORKFLOW}}}`,
  );
  expect(recognise(`{"workflow": ${WORKFLOW}}`).text).toBe(`{"input":{"workflow": ${WORKFLOW}}}`);
  expect(recognise(`{"prompt": ${WORKFLOW}, "client_id": "x"}`).text).toBe(
    `{"input":{"workflow":${WORKFLOW}}}`,
  );
});

test('a byte order mark and the NaN that Python writes are no obstacle', () => {
  const odd = '{"1": {"class_type": "A", "inputs": {}, "is_changed": [NaN], "s": "NaN"}}';
  expect(recognise(`\uFEFF${odd}`).text).toContain('[NaN], "s": "NaN"');
});

test('the format of the editor is recognised, and the menu that exports the other one is named', () => {
  expect(() => recognise(EDITOR)).toThrow(/Workflow › Export \(API\)/);
  expect(() => recognise(`{"input": {"workflow": ${EDITOR}}}`)).toThrow(
    /Workflow › Export \(API\)/,
  );
});

test('what is no workflow is told apart by what it is', () => {
  expect(() => recognise('')).toThrow('The file or clipboard is empty.');
  expect(() => recognise('{"a": ')).toThrow(/JSON/);
  expect(() => recognise('{"a": 1, "b": 2}')).toThrow(/Found keys “a”, “b”\./);
  expect(() => recognise('[1]')).toThrow(/Found a JSON array\./);
});
