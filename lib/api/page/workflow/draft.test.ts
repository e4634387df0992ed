import { expect, test } from '@jest/globals';
import { JsonText } from '../shared/json.js';
import { Draft } from './draft.js';

const WORKFLOW = `{
  "12": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
  "3": {"class_type": "KSampler", "inputs": {"seed": 18446744073709551615, "cfg": 1.0, "latent_image": ["1", 0]}},
  "1": {"class_type": "LoadImage", "inputs": {"image": "boat.png"}, "_meta": {"title": "Die Vorlage \\u00fc"}},
  "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "a \\"boat\\""}}
}`;

/** Takes a request, or a bare workflow. */
function opened(text = WORKFLOW) {
  const json = JsonText.parse(text);
  const request = json.get('input') ? json : JsonText.parse(`{"input":{"workflow":${text}}}`);
  return new Draft(request, 'test.json');
}

function fieldOf(draft: Draft, name: string) {
  const field = draft.nodes.flatMap(({ fields }) => fields).find((one) => one.name === name);
  if (!field) throw new Error(`No field ${name}`);
  return field;
}

test('a request without changes is sent character for character', () => {
  expect(opened().text).toBe(`{"input":{"workflow":${WORKFLOW}}}`);
  expect(opened().workflowText).toBe(WORKFLOW);
});

test('a change replaces exactly the characters of its field', () => {
  const draft = opened();
  draft.change(fieldOf(draft, 'text'), JSON.stringify('a "red" boat\n'));
  const changed = WORKFLOW.replace('"a \\"boat\\""', '"a \\"red\\" boat\\n"');
  expect(draft.text).toBe(`{"input":{"workflow":${changed}}}`);
  expect(draft.workflowText).toBe(changed);
});

test('a seed keeps all its digits, and a float its point', () => {
  const draft = opened();
  expect(draft.plainOf(fieldOf(draft, 'seed'))).toBe('18446744073709551615');
  expect(draft.plainOf(fieldOf(draft, 'cfg'))).toBe('1.0');
  draft.change(fieldOf(draft, 'seed'), '18446744073709551614');
  expect(draft.text).toContain('"seed": 18446744073709551614, "cfg": 1.0');
});

test('a change that is undone leaves no trace', () => {
  const draft = opened();
  const text = fieldOf(draft, 'text');
  draft.change(text, '"other"');
  draft.change(text, '"a \\"boat\\""');
  expect(draft.text).toBe(opened().text);
});

test('nodes come in the order they run, whatever the order in the file', () => {
  expect(opened().nodes.map(({ id }) => id)).toEqual(['1', '3', '12', '7']);
});

test('nodes that wait for each other are listed all the same', () => {
  const cycle =
    '{"1":{"class_type":"A","inputs":{"x":["2",0]}},"2":{"class_type":"B","inputs":{"x":["1",0]}}}';
  expect(opened(cycle).nodes.map(({ id }) => id)).toEqual(['2', '1']);
});

test('inputs become fields by the kind of their value; links do not', () => {
  const [load, sampler, , prompt] = opened().nodes;
  expect(load?.fields.map(({ kind }) => kind)).toEqual(['image']);
  expect(sampler?.fields.map(({ kind }) => kind)).toEqual(['seed', 'number']);
  expect(sampler?.links).toEqual([{ name: 'latent_image', from: '1' }]);
  expect(prompt?.fields.map(({ kind }) => kind)).toEqual(['prompt']);
});

test('titles are those of the editor, or else the class', () => {
  expect(opened().nodes.map(({ title }) => title)).toEqual([
    'Die Vorlage ü',
    'KSampler',
    'SaveImage',
    'CLIPTextEncode',
  ]);
});

test('a picked image is named in its node and travels with the job', () => {
  const draft = opened();
  const image = fieldOf(draft, 'image');
  expect(draft.pictureOf(image)).toBeUndefined();
  draft.pick(image, { name: 'cat.png', dataUri: 'data:image/png;base64,AAAA' });
  expect(draft.pictureOf(image)).toBe('data:image/png;base64,AAAA');
  const sent = JSON.parse(draft.text) as { input: { images: unknown; workflow: unknown } };
  expect(sent.input.images).toEqual([{ name: 'cat.png', image: 'data:image/png;base64,AAAA' }]);
  expect(sent.input.workflow).toMatchObject({ '1': { inputs: { image: 'cat.png' } } });
});

test('two pictures of one name do not overwrite each other', () => {
  const load = (id: string) => `"${id}":{"class_type":"LoadImage","inputs":{"image":"a.png"}}`;
  const draft = opened(`{${load('1')},${load('2')}}`);
  for (const [index, field] of draft.imageFields.entries())
    draft.pick(field, { name: 'image.png', dataUri: `data:image/png;base64,${index}AAA` });
  expect(draft.imageFields.map((field) => draft.plainOf(field))).toEqual([
    'image.png',
    'image-2.png',
  ]);
});

test('a picked picture does not take the name of one that another node uses', () => {
  const load = (image: string) => ({ class_type: 'LoadImage', inputs: { image } });
  const workflow = { '1': load('a.png'), '2': load('boat.png') };
  const images = [{ name: 'boat.png', image: 'data:image/png;base64,Ym9hdA==' }];
  const draft = opened(JSON.stringify({ input: { workflow, images } }));
  const [first] = draft.imageFields;
  draft.pick(first!, { name: 'boat.png', dataUri: 'data:image/png;base64,b3RoZXI=' });
  const { input } = JSON.parse(draft.text) as {
    input: { workflow: typeof workflow; images: unknown[] };
  };
  expect([input.workflow['1'].inputs.image, input.workflow['2'].inputs.image]).toEqual([
    'boat-2.png',
    'boat.png',
  ]);
  expect(input.images).toHaveLength(2);
});

test('the images of a job are seen, and stay unless their node gets another', () => {
  const images = '[{"name":"boat.png","image":"AAAA"},{"name":"mask.png","image":"BBBB"}]';
  const job = `{"id":"mine","input":{"images":${images},"workflow":${WORKFLOW}},"webhook":"http://x"}`;
  const draft = opened(job);
  expect(draft.text).toBe(job);
  const image = fieldOf(draft, 'image');
  expect(draft.pictureOf(image)).toBe('data:image/png;base64,AAAA');
  draft.pick(image, { name: 'boat.png', dataUri: 'data:image/png;base64,CCCC' });
  expect(draft.text).toContain('"webhook":"http://x"');
  expect(JSON.parse(draft.text)).toMatchObject({
    input: {
      images: [
        { name: 'mask.png', image: 'BBBB' },
        { name: 'boat.png', image: 'data:image/png;base64,CCCC' },
      ],
    },
  });
});

test('a job is called by its first prompt, or by its file', () => {
  expect(opened().title).toBe('a "boat"');
  expect(opened('{"1":{"class_type":"A","inputs":{}}}').title).toBe('test.json');
});
