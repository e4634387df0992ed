import { expect, test } from '@jest/globals';
import { toRequest } from './request.js';

const WORKFLOW = '{"1": {"class_type": "A", "inputs": {"n": 1.0}}}';
const EDITOR = '{"last_node_id": 2, "nodes": [{"id": 1}], "links": []}';

test('a workflow, a job, an input and a body of /prompt become the same request', () => {
  expect(toRequest(WORKFLOW).text).toBe(`{"input":{"workflow":${WORKFLOW}}}`);
  expect(toRequest(`{"input": {"workflow": ${WORKFLOW}}}`).text).toBe(
    `{"input": {"workflow": ${WORKFLOW}}}`,
  );
  expect(toRequest(`{"workflow": ${WORKFLOW}}`).text).toBe(`{"input":{"workflow": ${WORKFLOW}}}`);
  expect(toRequest(`{"prompt": ${WORKFLOW}, "client_id": "x"}`).text).toBe(
    `{"input":{"workflow":${WORKFLOW}}}`,
  );
});

test('a byte order mark and the NaN that Python writes are no obstacle', () => {
  const odd = '{"1": {"class_type": "A", "inputs": {}, "is_changed": [NaN], "s": "NaN"}}';
  expect(toRequest(`\uFEFF${odd}`).text).toContain('[NaN], "s": "NaN"');
});

test('the format of the editor is recognised, and the menu that exports the other one is named', () => {
  expect(() => toRequest(EDITOR)).toThrow(/Workflow › Export \(API\)/);
  expect(() => toRequest(`{"input": {"workflow": ${EDITOR}}}`)).toThrow(
    /Workflow › Export \(API\)/,
  );
});

test('the error for other content names that content', () => {
  expect(() => toRequest('')).toThrow('The file or clipboard is empty.');
  expect(() => toRequest('{"a": ')).toThrow(/JSON/);
  expect(() => toRequest('{"a": 1, "b": 2}')).toThrow(/Found keys “a”, “b”\./);
  expect(() => toRequest('[1]')).toThrow(/Found a JSON array\./);
});
