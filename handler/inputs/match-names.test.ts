import { expect, test } from '@jest/globals';
import { JsonText } from '../../lib/json.ts';
import { recordedInfos, withClasses } from '../../lib/workflow/test-infos.ts';
import { storedName } from './input-names.ts';
import { followStoredNames, matchNames, type SentFile } from './match-names.ts';

const { signal } = new AbortController();

/** Matches the names in nodes of these classes against a ComfyUI with some files. */
async function match(
  nodes: Readonly<Record<string, readonly [classType: string, inputs: object]>>,
  {
    sent = [],
    files = [],
    infos = recordedInfos,
  }: {
    readonly sent?: readonly SentFile[];
    readonly files?: readonly string[];
    readonly infos?: typeof recordedInfos;
  } = {},
) {
  const notes: string[] = [];
  const asked: string[] = [];
  const comfy = {
    describeNodes: () => Promise.resolve(infos),
    hasFile: ({
      filename,
      subfolder,
      type,
    }: {
      filename: string;
      subfolder: string;
      type: string;
    }) => {
      const name = `${type}:${subfolder === '' ? '' : `${subfolder}/`}${filename}`;
      asked.push(name);
      return Promise.resolve(files.includes(name));
    },
  };
  const entries = Object.entries(nodes).map(([nodeId, [classType, inputs]]) => {
    return [nodeId, { class_type: classType, inputs }] as const;
  });
  const workflow = JsonText.of(Object.fromEntries(entries));
  const scope = { signal, note: (text: string) => void notes.push(text) };
  const matched = await matchNames(workflow, sent, { comfy, scope });
  return { ...matched, notes, asked, isUnchanged: matched.workflow.text === workflow.text };
}

const a = { label: 'a.png', path: 'a.png' };

test('a loader of a sent file asks ComfyUI nothing', async () => {
  const found = await match({ '1': ['LoadImage', { image: 'a.png' }] }, { sent: [a] });
  expect(found).toMatchObject({ asked: [], notes: [], isUnchanged: true });
  expect(found.loaders).toEqual([{ nodeId: '1', inputName: 'image', path: 'a.png' }]);
});

test.each([
  ['a.png [output]', 'output:a.png'],
  ['clipspace/a.png [temp]', 'temp:clipspace/a.png'],
  ['deep/er/a.png', 'input:deep/er/a.png'],
])('a file of ComfyUI is looked for where its name says: %s', async (image, file) => {
  const found = await match({ '1': ['LoadImage', { image }] }, { sent: [a], files: [file] });
  expect(found).toMatchObject({ asked: [file], notes: [], isUnchanged: true });
});

test.each(['/data/a.jpg', '../a.jpg', 'C:\\pictures\\a.jpg'])(
  'a path out of the input folder is left to ComfyUI, of which older versions read it: %s',
  async (image) => {
    const found = await match({ '1': ['LoadImage', { image }] }, { sent: [a] });
    expect(found).toMatchObject({ asked: [], notes: [], isUnchanged: true });
    expect(found.missingFiles.size).toBe(0);
  },
);

test.each([
  ['text that looks like a file', 'CLIPTextEncode', { text: 'A.PNG' }],
  ['a prefix', 'SaveImage', { filename_prefix: 'pasted\\A.png' }],
  ['a choice that is no file', 'KSampler', { sampler_name: 'Euler' }],
  ['a loader by path', 'VHS_LoadImagePath', { image: 'A.PNG' }],
  ['an empty loader', 'LoadImage', { image: '' }],
  ['a link', 'LoadImage', { image: ['2', 0] }],
])('%s is left alone', async (_what, classType, inputs) => {
  const found = await match({ '1': [classType, inputs] }, { sent: [a] });
  expect(found).toMatchObject({ isUnchanged: true, loaders: [] });
});

test('a missing file of a loader that is not of ComfyUI itself is a note, because it may have another place for files', async () => {
  const infos = withClasses({
    MyLoader: {
      input: { required: { clip: [['b.mp4'], { video_upload: true }] } },
      python_module: 'custom_nodes.some',
    },
  });
  const found = await match({ '1': ['MyLoader', { clip: 'c.mp4' }] }, { sent: [a], infos });
  expect(found.missingFiles.size).toBe(0);
  expect(found.notes).toEqual([
    'Node 1 (MyLoader): clip "c.mp4" is no file; sent with the job: a.png',
  ]);
});

test('a model in the option of a dynamic combo is found with the other slash', async () => {
  const option = { key: 'on', inputs: { required: { lora: [['XL/a.safetensors'], {}] } } };
  const infos = withClasses({
    Style: { input: { required: { mode: ['COMFY_DYNAMICCOMBO_V3', { options: [option] }] } } },
  });
  const inputs = { mode: 'on', 'mode.lora': 'XL\\a.safetensors' };
  const { workflow } = await match({ '1': ['Style', inputs] }, { infos });
  expect(workflow.get('1')?.get('inputs')?.get('mode.lora')?.value()).toBe('XL/a.safetensors');
});

test('a loader follows the name that ComfyUI answered', async () => {
  const nodes = {
    '1': ['LoadImage', { image: 'a.png' }],
    '2': ['CLIPTextEncode', { text: 'a.png' }],
  } as const;
  const { workflow, loaders } = await match(nodes, { sent: [a] });
  const followed = followStoredNames(workflow, loaders, new Map([['a.png', 'in/a (1).png']]));
  expect(followed.value()).toMatchObject({
    '1': { inputs: { image: 'in/a (1).png' } },
    '2': { inputs: { text: 'a.png' } },
  });
});

test.each([
  ['a.png', '', 'a.png'],
  ['pasted/a.png', 'pasted', 'a.png'],
  ['clipspace\\deep\\a.png [input]', 'clipspace/deep', 'a.png'],
  ['//pasted/./a.png', 'pasted', 'a.png'],
  ['../x.png', '..', 'x.png'],
  ['say "hi"/we"ird\n.png', 'say "hi"', 'we%22ird%0A.png'],
  [' [input]', '', ' [input]'],
])('%j is stored in the folder %j as %j', (sent, subfolder, name) => {
  expect(storedName(sent)).toEqual({ subfolder, name });
});
