import { expect, test } from '@jest/globals';
import { JsonText } from '../json.ts';
import { recognise } from './recognise.ts';

const API = '{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615}}}';
const EDITOR = '{"last_node_id":1,"nodes":[{"id":1,"type":"Note"}],"links":[],"version":0.4}';
const BROKEN = '{"3":{"class_type":"KSampler"}}';
const IMAGES = '"images":[{"name":"a.png","image":"AAAA"}]';
const quoted = JSON.stringify;

const look = (text: string) => {
  const found = recognise(JsonText.parse(text));
  return [found.kind, 'input' in found ? found.input.text : found.what];
};
const inputOf = (workflow: string, ...more: string[]) =>
  `{"workflow":${[workflow, ...more].join(',')}}`;

test.each([
  ['a bare workflow', API, 'api', inputOf(API)],
  ['a file of the editor', EDITOR, 'editor', inputOf(EDITOR)],
  ['an input', `{"workflow": ${API}, ${IMAGES}}`, 'api', `{"workflow": ${API}, ${IMAGES}}`],
  ['an input of the editor', `{ "workflow" : ${EDITOR} }`, 'editor', `{ "workflow" : ${EDITOR} }`],
  ['a job', `{"id":"1","input":${inputOf(API)}}`, 'api', inputOf(API)],
  ['a job whose input is a bare workflow', `{"input":${API}}`, 'api', inputOf(API)],
  ['a job whose input is a file of the editor', `{"input":${EDITOR}}`, 'editor', inputOf(EDITOR)],
  ['a job whose input is a text', `{"input":${quoted(inputOf(API))}}`, 'api', inputOf(API)],
  [
    'a whole job in workflow',
    inputOf(`{"input":${inputOf(API, IMAGES)}}`),
    'api',
    inputOf(API, IMAGES),
  ],
  ['a workflow that is a text', inputOf(quoted(API)), 'api', inputOf(API)],
  ['a workflow called by name', '{"workflow":"portrait"}', 'name', '{"workflow":"portrait"}'],
  ['a body of /prompt', `{"prompt":${API},"client_id":"x","number":1}`, 'api', inputOf(API)],
  [
    'a body of /prompt as workflow',
    inputOf(`{"prompt":${API},"client_id":"x"}`),
    'api',
    inputOf(API),
  ],
  ['nodes of which one is broken', BROKEN, 'unclear', inputOf(BROKEN)],
])('%s becomes the input of a job, character for character', (_, text, kind, input) => {
  expect(look(text)).toEqual([kind, input]);
});

test('a body of /prompt keeps its metadata for saved files and its key, unless the job has its own', () => {
  const body = `{"prompt":${API},"extra_data":{"extra_pnginfo":{"workflow":${EDITOR}},"api_key_comfy_org":"k"}}`;
  expect(look(body)[1]).toBe(
    inputOf(API, `"extra_pnginfo":{"workflow":${EDITOR}}`, '"api_key_comfy_org":"k"'),
  );
  expect(look(inputOf(body, '"extra_pnginfo":{"a":1}'))[1]).toBe(
    inputOf(API, '"extra_pnginfo":{"a":1}', '"api_key_comfy_org":"k"'),
  );
});

test.each(['prompt', 'output'])(
  'of a workflow in both formats %s runs, and the other one goes into the saved files',
  (name) => {
    expect(look(`{"${name}":${API},"workflow":${EDITOR}}`)).toEqual([
      'api',
      inputOf(API, `"extra_pnginfo":{"workflow":${EDITOR}}`),
    ]);
    expect(look(`{"${name}":${quoted(API)},"workflow":${quoted(EDITOR)}}`)[0]).toBe('api');
  },
);

test('fields named prompt and output of an input are no workflow', () => {
  const input = `{"workflow":${EDITOR},"prompt":"a cat","output":{"format":"webp"}}`;
  expect(look(input)).toEqual(['editor', input]);
});

test('the fields of an input win over those of a job within its workflow', () => {
  const inner = `{"input":${inputOf(API, IMAGES, '"strict":true')}}`;
  expect(JSON.parse(look(inputOf(inner, '"strict":false'))[1] ?? '')).toEqual({
    ...(JSON.parse(inputOf(API, IMAGES)) as object),
    strict: false,
  });
});

test.each([
  ['[]', 'a JSON array'],
  ['"text"', 'a JSON string'],
  ['7', 'a JSON number'],
  ['{}', 'an empty object'],
  ['{"a":1,"b":2}', 'an object with "a", "b"'],
  ['{"templates":[{"name":"x","data":"{}"}]}', "a file of the editor's node templates"],
  [`{"prompt":[1,"id",${API},{},["9"]],"outputs":{}}`, /^an entry of ComfyUI's \/history/],
  [`{"id":{"prompt":[1,"id",${API},{},["9"]]}}`, /^an answer of ComfyUI's \/history/],
  ['{"KSampler":{"input":{},"output":[],"category":"sampling"}}', /\/object_info/],
  ['{"class_type":"KSampler","inputs":{}}', /^a single node/],
  ['{"nodes":{"1":{}},"links":[]}', /"nodes" are not a list/],
  [`{"workflow":{"input":${inputOf(API)},"webhook":"https://x"}}`, /^a whole job with "webhook"/],
  [`{"prompt":${API},"partial_execution_targets":["9"]}`, /runs only some nodes/],
])('%s is no workflow, and is named', (text, what) => {
  const [kind, found] = look(text);
  expect(kind).toBe('other');
  expect(found).toMatch(what);
});

test('a job that is wrapped without end is refused', () => {
  const text = `${'{"input":'.repeat(5000)}{}${'}'.repeat(5000)}`;
  expect(look(text)).toEqual(['other', 'a job wrapped many times']);
});
