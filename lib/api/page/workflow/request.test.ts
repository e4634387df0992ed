import { expect, test } from '@jest/globals';
import { toRequest } from './request.js';

const WORKFLOW = '{"1": {"class_type": "A", "inputs": {"n": 1.0}}}';
const EDITOR = '{"last_node_id": 2, "nodes": [{"id": 1}], "links": []}';

const refuse = () => Promise.reject(new Error('not to be converted'));
const request = async (text: string, convert: (file: string) => Promise<string> = refuse) =>
  (await toRequest(text, convert)).text;

test('a workflow, a job, an input and a body of /prompt become the same request', async () => {
  expect(await request(WORKFLOW)).toBe(`{"input":{"workflow":${WORKFLOW}}}`);
  expect(await request(`{"input": {"workflow": ${WORKFLOW}}}`)).toBe(
    `{"input": {"workflow": ${WORKFLOW}}}`,
  );
  expect(await request(`{"workflow": ${WORKFLOW}}`)).toBe(`{"input":{"workflow": ${WORKFLOW}}}`);
  expect(await request(`{"prompt": ${WORKFLOW}, "client_id": "x"}`)).toBe(
    `{"input":{"workflow":${WORKFLOW}}}`,
  );
});

test('a byte order mark and the NaN that Python writes are no obstacle', async () => {
  const odd = '{"1": {"class_type": "A", "inputs": {}, "is_changed": [NaN], "s": "NaN"}}';
  expect(await request(`\uFEFF${odd}`)).toContain('[NaN], "s": "NaN"');
});

test('a workflow of the editor is converted by the worker, and the rest of its job is kept', async () => {
  const sent: string[] = [];
  const convert = (file: string) => {
    sent.push(file);
    return Promise.resolve(`{"what":"x","input":{"workflow":${WORKFLOW}}}`);
  };
  expect(await request(EDITOR, convert)).toBe(`{"input":{"workflow":${WORKFLOW}}}`);
  const job = `{"policy": {"ttl": 20000}, "input": {"workflow": ${EDITOR}}}`;
  expect(await request(job, convert)).toBe(
    `{"policy": {"ttl": 20000}, "input": {"workflow":${WORKFLOW}}}`,
  );
  expect(sent).toEqual([`{"workflow":${EDITOR}}`, `{"workflow": ${EDITOR}}`]);
});

test('the error for other content names that content', async () => {
  await expect(request('')).rejects.toThrow('The file or clipboard is empty.');
  await expect(request('{"a": ')).rejects.toThrow(/JSON/);
  await expect(request('{"a": 1, "b": 2}')).rejects.toThrow(/Found keys “a”, “b”\./);
  await expect(request('[1]')).rejects.toThrow(/Found a JSON array\./);
  await expect(request('{"templates": []}')).rejects.toThrow(/node templates/);
  await expect(request('{"workflow": "portrait"}')).rejects.toThrow(/Send this job to the API/);
});
