import { expect, test } from '@jest/globals';
import { isWorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';
import { parseInput } from './job-input.ts';

const parse = (input: string) => parseInput(JsonText.parse(input));

function failureOf(input: string): string {
  try {
    parse(input);
  } catch (error) {
    if (isWorkerError(error)) return error.message;
    throw error;
  }
  return 'accepted';
}

const NOT_JSON = 'Invalid JSON format in input';
const NO_WORKFLOW = "Missing 'workflow' parameter";
const BAD_IMAGES = "'images' must be a list of objects with 'name' and 'image' keys";

test.each([
  ['null', 'Please provide input'],
  ['"not json"', NOT_JSON],
  ['""', NOT_JSON],
  ['"null"', NOT_JSON],
  ['"\\"{}\\""', NOT_JSON],
  ['[1]', NOT_JSON],
  ['7', NOT_JSON],
  ['true', NOT_JSON],
  ['{}', NO_WORKFLOW],
  ['{"workflow":null}', NO_WORKFLOW],
  ['{"workflow":null,"images":"x"}', NO_WORKFLOW],
  ['{"workflow":{},"images":"x"}', BAD_IMAGES],
  ['{"workflow":{},"images":{}}', BAD_IMAGES],
  ['{"workflow":{},"images":0}', BAD_IMAGES],
  ['{"workflow":{},"images":[{"name":"a"}]}', BAD_IMAGES],
  ['{"workflow":{},"images":[{"image":"a"}]}', BAD_IMAGES],
  ['{"workflow":{},"images":["name image"]}', BAD_IMAGES],
  ['{"workflow":{},"images":[["name","image"]]}', BAD_IMAGES],
  ['{"workflow":{},"images":[null]}', BAD_IMAGES],
  ['{"workflow":{},"images":[3]}', BAD_IMAGES],
])('%s is refused: %s', (input, message) => {
  expect(failureOf(input)).toBe(message);
});

test.each([
  '{"workflow":{}}',
  '{"workflow":[]}',
  '{"workflow":""}',
  '{"workflow":0}',
  '{"workflow":false}',
  '{"workflow":{},"images":null}',
  '{"workflow":{},"images":[]}',
  '{"workflow":{},"images":[{"name":"a","image":"b","extra":1}]}',
  '{"workflow":{},"images":[{"name":null,"image":7}],"unknown":{}}',
])('%s is accepted: what it means is judged later', (input) => {
  expect(failureOf(input)).toBe('accepted');
});

test('an input that is a string of JSON is read once, and its workflow is kept as sent', () => {
  const workflow = '{"2":{"seed":18446744073709551615},"1":{"cfg":1.0}}';
  expect(parse(JSON.stringify(`{"workflow":${workflow}}`)).workflow).toHaveProperty(
    'text',
    workflow,
  );
  expect(parse(`{"workflow":${workflow}}`).workflow).toHaveProperty('text', workflow);
});

test.each(['""', 'null', '0', 'false', '[]', '{}'])(
  'an empty API key counts as none: %s',
  (key) => {
    expect(parse(`{"workflow":{},"comfy_org_api_key":${key}}`).apiKey).toBeUndefined();
  },
);

test.each(['"key"', '7.0', '["a"]', 'true'])(
  'an API key is forwarded as it was sent: %s',
  (key) => {
    expect(parse(`{"workflow":{},"comfy_org_api_key":${key}}`).apiKey?.text).toBe(key);
  },
);
