import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { startApiRig, type ApiRig } from './rigs/api-rig.ts';
import { pictures } from './rigs/test-rig.ts';

/** Files that hold a workflow, sent to the local API to be converted, and sent as jobs. */

async function convert(
  rig: ApiRig,
  body: string | Buffer<ArrayBuffer>,
  headers: Record<string, string> = {},
) {
  const url = `${rig.url}/workflows/convert`;
  const response = await fetch(url, { method: 'POST', body, headers });
  return { status: response.status, text: await response.text() };
}

const EDITOR = `{"nodes":[
  {"id":1,"type":"EmptyImage","outputs":[{"type":"IMAGE"}],"widgets_values":[8,8,1,0]},
  {"id":2,"type":"SaveImage","inputs":[{"name":"images","type":"IMAGE","link":1}],"widgets_values":["edited"]}
],"links":[[1,1,0,2,0,"IMAGE"]],"version":0.4}`;

test('a file of the editor, alone or in a job, is answered as the body of a job that can be run', async () => {
  await using rig = await startApiRig();
  const { status, text } = await convert(rig, EDITOR);
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({
    what: "a workflow in the editor's format",
    input: { workflow: { '2': { class_type: 'SaveImage', inputs: { images: ['1', 0] } } } },
  });
  const ran = await fetch(`${rig.url}/runsync`, { method: 'POST', body: text });
  expect(await ran.json()).toMatchObject({
    status: 'COMPLETED',
    output: { images: [{ filename: 'edited_00001_.png' }] },
  });
  const job = await convert(rig, `{"input":{"workflow":${EDITOR},"strict":true}}`);
  expect(JSON.parse(job.text)).toMatchObject({
    what: 'a job',
    input: { workflow: { '1': { class_type: 'EmptyImage' } }, strict: true },
  });
});

test('a workflow in API format is answered character for character', async () => {
  await using rig = await startApiRig();
  const workflow =
    '{"1": {"class_type":"KSampler","inputs":{"seed":18446744073709551615,"cfg":1.0}}}';
  const { text } = await convert(rig, workflow);
  expect(text).toBe(`{"what":"a workflow in API format","input":{"workflow":${workflow}}}`);
});

test.each(['comfyui.png', 'comfyui.mp4', 'make.avif', 'comfyui.flac', 'video-helper.webm'])(
  'what ran is read from %s, and the file of the editor goes into what is saved',
  async (name) => {
    await using rig = await startApiRig();
    const file = await readFile(`test_resources/media/embedded/${name}`);
    const { status, text } = await convert(rig, file);
    expect(status).toBe(200);
    expect(JSON.parse(text)).toMatchObject({
      what: 'a workflow in both formats',
      input: {
        workflow: { '9': { inputs: { filename_prefix: 'made' } } },
        extra_pnginfo: { workflow: { nodes: [{ id: 1 }, { id: 2 }] } },
      },
    });
  },
);

test('what cannot be converted is answered with one text for each problem', async () => {
  await using rig = await startApiRig();
  const { status, text } = await convert(rig, EDITOR.replace('EmptyImage', 'Nope'));
  expect(status).toBe(422);
  expect(JSON.parse(text)).toEqual({
    error: expect.stringContaining('cannot be converted'),
    problems: [expect.stringMatching(/^Node 1: .*"Nope" is not installed/)],
  });
});

test.each([
  ['nothing', '', 'It is empty'],
  ['text', 'a cat', /^It is not JSON/],
  [
    'a picture without a workflow',
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    /^The PNG file carries/,
  ],
  ['a file of something else', '{"templates":[]}', /node templates$/],
])('%s is refused with the reason', async (_, body, reason) => {
  await using rig = await startApiRig();
  const { status, text } = await convert(rig, body);
  expect(status).toBe(422);
  expect((JSON.parse(text) as { error: string }).error).toMatch(reason);
});

test('files are converted only for those who may call, and only up to a size', async () => {
  await using rig = await startApiRig({ environment: { API_KEY: 'k' } });
  expect(await convert(rig, EDITOR)).toMatchObject({ status: 401 });
  const headers = { Authorization: 'Bearer k' };
  expect(await convert(rig, EDITOR, headers)).toMatchObject({ status: 200 });
  const large = await convert(rig, Buffer.alloc(64_000_001), headers);
  expect(large).toMatchObject({ status: 413 });
});

test('a body of /prompt, a whole job in workflow and a bare workflow as input are run', async () => {
  await using rig = await startApiRig();
  const workflow = pictures();
  const inputs = [
    workflow,
    { workflow: { prompt: workflow, client_id: 'x' } },
    { workflow: { input: { workflow } } },
    { prompt: workflow },
  ];
  for (const input of inputs) {
    const body = JSON.stringify({ input });
    const response = await fetch(`${rig.url}/runsync`, { method: 'POST', body });
    expect(await response.json()).toMatchObject({ status: 'COMPLETED' });
  }
});
