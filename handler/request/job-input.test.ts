import { expect, test } from '@jest/globals';
import { isWorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
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
])('%s is accepted; later steps check it', (input) => {
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

test.each(['""', 'null', '0', 'false', '[]', '{}'])('an empty API key is ignored: %s', (key) => {
  expect(parse(`{"workflow":{},"comfy_org_api_key":${key}}`).apiKey).toBeUndefined();
});

test.each(['"key"', '7.0', '["a"]', 'true'])(
  'an API key is forwarded as it was sent: %s',
  (key) => {
    expect(parse(`{"workflow":{},"comfy_org_api_key":${key}}`).apiKey?.text).toBe(key);
  },
);

test('the API key may have either of its two names', () => {
  expect(parse('{"workflow":{},"api_key_comfy_org":"b"}').apiKey?.text).toBe('"b"');
  expect(parse('{"workflow":{},"comfy_org_api_key":"","api_key_comfy_org":"b"}').apiKey?.text).toBe(
    '"b"',
  );
  expect(
    parse('{"workflow":{},"comfy_org_api_key":"a","api_key_comfy_org":"b"}').apiKey?.text,
  ).toBe('"a"');
});

test('a workflow may be a name, with parameters that keep their text', () => {
  const { workflow } = parse('{"workflow":"portrait","params":{"seed":18446744073709551615}}');
  expect(workflow).toMatchObject({ name: 'portrait' });
  expect(workflow).toHaveProperty('params.text', '{"seed":18446744073709551615}');
});

test('an image may have only a URL', () => {
  const { images } = parse('{"workflow":{},"images":[{"name":"a","url":"https://example.com/a"}]}');
  expect(images).toEqual([{ name: 'a', url: 'https://example.com/a' }]);
});

test('overrides and metadata keep their text', () => {
  const { overrides, extraPnginfo } = parse(
    '{"workflow":{},"overrides":{"3.cfg":1.0},"extra_pnginfo":{"workflow":{"id":1.0}}}',
  );
  expect(overrides?.text).toBe('{"3.cfg":1.0}');
  expect(extraPnginfo?.text).toBe('{"workflow":{"id":1.0}}');
});

test.each([
  ['"files":"a.png"', 'input.files: '],
  ['"files":{"name":"a"}', 'input.files: '],
  ['"files":[{"name":"a"}]', 'input.files[0]: must have either "data" or "url"'],
  [
    '"files":[{"name":"../a","url":"https://a.b/c"}]',
    'input.files[0].name: must be a name, not a path',
  ],
  [
    '"files":[{"name":"a","data":"AAAA","subfolder":".."}]',
    'input.files[0].subfolder: each step of the folder must not be ".."',
  ],
  [
    '"files":[{"name":"a","data":"AAAA","type":"mask"}]',
    'input.files[0]: a file of the type "mask" needs "original_ref"',
  ],
  [
    '"files":[{"name":"a","data":"AAAA","kind":"video"}]',
    'input.files[0]: unrecognized key: "kind"',
  ],
  ['"output":{"delivery":"fax"}', 'input.output.delivery: invalid option: expected one of "auto"'],
  ['"output":{"convert":{"qualty":3}}', 'input.output.convert: unrecognized key: "qualty"'],
  ['"strict":"yes"', 'input.strict: '],
  ['"overrides":["6.text"]', 'input.overrides: '],
  ['"output":["images"]', 'input.output: '],
])('%s is refused: %s', (field, message) => {
  const failure = failureOf(`{"workflow":{},${field}}`);
  expect(failure.slice(0, message.length)).toBe(message);
});

test('all problems are reported at once, without secrets', () => {
  const credentials = [{ url_pattern: '**', auth: { type: 'bearer', token: ['s3cret'] } }];
  const s3Config = { accessId: 's3cret', accessSecret: 7 };
  const failure = failureOf(JSON.stringify({ workflow: {}, strict: 1, credentials, s3Config }));
  expect(failure.split('\n').map((line) => line.split(':')[0])).toEqual([
    'input.credentials[0].auth.token',
    'input.strict',
    'input.s3Config.accessSecret',
    'input.s3Config.bucketName',
    'input.s3Config.endpointUrl',
  ]);
  expect(failure).not.toContain('s3cret');
});

const NODES = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';

test.each([
  ['a bare workflow', NODES],
  ['a body of /prompt', `{"prompt":${NODES},"client_id":"x"}`],
  ['a body of /prompt in workflow', `{"workflow":{"prompt":${NODES},"client_id":"x"}}`],
  ['a whole job in workflow', `{"workflow":{"input":{"workflow":${NODES}}}}`],
  ['a whole job', `{"input":{"workflow":${NODES}}}`],
])('%s as input no longer fails for a missing workflow', (_, input) => {
  expect(parse(input).workflow).toHaveProperty('text', NODES);
});

test('a whole job in workflow keeps its images and options', () => {
  const inner = `{"input":{"workflow":${NODES},"images":[{"name":"a","image":"b"}],"strict":true}}`;
  const { images, strict } = parse(`{"workflow":${inner}}`);
  expect(images).toEqual([{ name: 'a', image: 'b' }]);
  expect(strict).toBe(true);
});

test('something else as input is named', () => {
  expect(failureOf('{"templates":[]}')).toBe(
    `${NO_WORKFLOW}; the input is a file of the editor's node templates`,
  );
  expect(failureOf('{"prompt":"a cat"}')).toBe(NO_WORKFLOW);
});

test.each([
  '"overrides":[]',
  '"overrides":""',
  '"output":[]',
  '"output":{}',
  '"output":null',
  '"output":{"groupBy":null,"convert":{"format":null,"quality":null},"nodes":null,"azure":null}',
  '"files":{}',
  '"files":[{"name":"a","data":"AAAA","url":null,"subfolder":null,"type":null,"original_ref":null}]',
  '"credentials":{}',
  '"params":[]',
  '"strict":""',
  '"extra_pnginfo":[]',
  '"s3Config":null',
])('an option that says nothing does not fail a job: %s', (field) => {
  const { notes, s3Config, overrides } = parse(`{"workflow":{},${field}}`);
  expect({ notes, s3Config, overrides }).toEqual({ notes: [] });
});

const text = '"string"';
test.each([
  '[]',
  '{}',
  '""',
  'false',
  '"string"',
  '["string"]',
  '{"accessId":"","accessSecret":"","bucketName":"","endpointUrl":""}',
  '{"accessId":null,"accessSecret":null}',
  `{"accessId":${text},"accessSecret":${text},"bucketName":${text},"endpointUrl":${text},"objectPath":${text}}`,
])('an s3Config that is empty, or the example of an API console, counts as absent: %s', (sent) => {
  const { s3Config, notes } = parse(`{"workflow":{},"s3Config":${sent}}`);
  expect(s3Config).toBeUndefined();
  expect(notes).toEqual(['input.s3Config is empty or an example, and counts as not given']);
});

test('an s3Config that is partly filled in is refused', () => {
  const sent = '{"accessId":"key","accessSecret":"","bucketName":"string","endpointUrl":null}';
  const failure = failureOf(`{"workflow":{},"s3Config":${sent}}`);
  expect(failure.split('\n').map((line) => line.split(':')[0])).toEqual([
    'input.s3Config.accessSecret',
    'input.s3Config.endpointUrl',
  ]);
});

test('a store in output that is an example counts as absent', () => {
  const { output, notes } = parse(
    '{"workflow":{},"output":{"details":true,"azure":{"url":"string"},"put":[]}}',
  );
  expect(output).toEqual({ details: true });
  expect(notes).toEqual([
    'input.output.azure is empty or an example, and counts as not given',
    'input.output.put is empty or an example, and counts as not given',
  ]);
});

test.each([
  ['objects', '{"a":', '}'],
  ['lists', '[', ']'],
])('100,000 %s within each other are nested too deeply', (_, open, close) => {
  const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
  const sent = JsonText.parse(`{"workflow":{"1":{"class_type":"A","inputs":{"x":${deep}}}}}`);
  expect(() => parseInput(sent)).toThrow('input is nested too deeply');
});
