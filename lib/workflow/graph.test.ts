import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { recognise } from './graph.ts';

const API = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';
const EDITOR = '{"last_node_id":1,"nodes":[{"id":1,"type":"Note"}],"links":[],"version":0.4}';

test.each([
  ['api', API, API],
  ['editor', EDITOR, EDITOR],
  ['api', `{"prompt": ${API}, "client_id": "x"}`, API],
  ['api', `{"prompt": ${API}, "workflow": ${EDITOR}}`, API],
  ['api', `{"workflow": ${API}}`, API],
  ['api', `{"output": ${API}, "workflow": ${EDITOR}}`, API],
  ['editor', `{"workflow": ${EDITOR}}`, EDITOR],
  ['unclear', '{}', '{}'],
  ['unclear', '{"3":{"class_type":"KSampler"}}', '{"3":{"class_type":"KSampler"}}'],
  ['unclear', `{"3":{"inputs":{}},"4":7}`, `{"3":{"inputs":{}},"4":7}`],
])('recognised as %s: %s', (kind, sent, workflow) => {
  const recognised = recognise(JsonText.parse(sent));
  expect(recognised.kind).toBe(kind);
  expect('workflow' in recognised && recognised.workflow.text).toBe(workflow);
});

test.each([
  ['[]', 'array'],
  ['"text"', 'string'],
  ['7', 'number'],
  ['true', 'boolean'],
])('%s is neither format', (sent, found) => {
  expect(recognise(JsonText.parse(sent))).toEqual({ kind: 'neither', found });
});
