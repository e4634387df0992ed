import { expect, test } from '@jest/globals';
import { JsonText } from '../../lib/json.ts';
import { findLinks, replaceLink } from './input-links.ts';

const never = new AbortController().signal;
const URL_A = 'https://example.com/a.png';

/** A ComfyUI that has these classes, and counts how often it is asked. */
function knowing(classes: Record<string, unknown> = {}) {
  const infos = new Map(Object.entries(classes).map(([name, info]) => [name, JsonText.of(info)]));
  const asked: string[][] = [];
  const describeNodes = (classTypes: Iterable<string>) => {
    asked.push([...classTypes]);
    return Promise.resolve(infos);
  };
  return { asked, describeNodes };
}

const node = (classType: string, inputs: object) =>
  JsonText.of({ '1': { class_type: classType, inputs } });

test.each([
  ['LoadImage', 'image', 'name', 'image'],
  ['LoadImageMask', 'image', 'name', 'image'],
  ['LoadVideo', 'file', 'name', 'video'],
  ['LoadAudio', 'audio', 'name', 'audio'],
  ['VHS_LoadVideo', 'video', 'name', 'video'],
  ['VHS_LoadVideoPath', 'video', 'path', 'video'],
  ['Load3D', 'model_file', 'name', 'file'],
])('a URL at %s.%s stands for a file', async (classType, inputName, by, expected) => {
  const comfy = knowing();
  const found = await findLinks(node(classType, { [inputName]: ` ${URL_A} ` }), comfy, never);
  expect(found).toMatchObject([{ nodeId: '1', classType, inputName, url: URL_A, by, expected }]);
  expect(comfy.asked).toEqual([]);
});

test('an unknown node is a loader if ComfyUI says that its input takes uploads', async () => {
  const comfy = knowing({
    MyLoader: { input: { optional: { clip: [['a.mp4'], { video_upload: true }] } } },
    Fetcher: { input: { required: { url: ['STRING', {}] } } },
  });
  const workflow = JsonText.of({
    '1': { class_type: 'MyLoader', inputs: { clip: 's3://b/clip.mp4', note: URL_A } },
    '2': { class_type: 'Fetcher', inputs: { url: URL_A } },
    '3': { class_type: 'Missing', inputs: { image: URL_A } },
  });
  expect(await findLinks(workflow, comfy, never)).toMatchObject([
    { nodeId: '1', inputName: 'clip', expected: 'video' },
  ]);
});

test.each([
  '{}',
  '[]',
  '"x"',
  '{"1":{"class_type":"LoadImage"}}',
  '{"1":{"class_type":"LoadImage","inputs":{"image":["2",0]}}}',
  '{"1":{"class_type":"LoadImage","inputs":{"image":"a.png"}}}',
  '{"1":{"class_type":"LoadImage","inputs":{"image":"see https://example.com"}}}',
])('%s has no URL to download, and ComfyUI is not asked', async (text) => {
  const comfy = knowing();
  expect(await findLinks(JsonText.parse(text), comfy, never)).toEqual([]);
  expect(comfy.asked).toEqual([]);
});

test('replacing a URL changes no other character', async () => {
  const text = `{"3":{"class_type":"KSampler","inputs":{"seed":18446744073709551615,"cfg":1.0}},\n "1": {"inputs" : {"image":"${URL_A}"}, "class_type":"LoadImage"}}`;
  const workflow = JsonText.parse(text);
  const [link] = await findLinks(workflow, knowing(), never);
  expect(replaceLink(workflow, link!, 'a "b".png').text).toBe(
    text.replace(`"${URL_A}"`, '"a \\"b\\".png"'),
  );
});
