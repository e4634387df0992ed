import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { PROBE_NODES } from '../simulator/comfy/testing/probe-nodes.ts';
import { startComfySimulator } from '../simulator/comfy/simulator.ts';
import { startScriptedEndpoint } from './scripted-endpoint.ts';
import { startCliRig } from './test-cli.ts';

const empty = {
  class_type: 'EmptyImage',
  inputs: { width: 8, height: 8, batch_size: 1, color: 1 },
};
const save = { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'T' } };
const sampling = (stepMs: number) => ({
  '1': empty,
  '2': {
    class_type: 'ProbeSampler',
    inputs: { image: ['1', 0], steps: 100, step_ms: stepMs, seed: 1 },
    _meta: { title: 'The slow one' },
  },
  '3': save,
});

async function startComfyRig() {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ nodes: PROBE_NODES }));
  const cli = parts.use(await startCliRig({ COMFY_URL: comfy.url }));
  return { comfy, cli, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('an exported workflow and an image become an image in a folder, with nothing but Node', async () => {
  await using cli = await startCliRig();
  const workflow = resolve('test_resources/workflows/image-to-image.json');
  const image = resolve('test_resources/images/paper-boat.png');
  const { code, stdout, stderr } = await cli.run([
    ...['run', workflow, '--simulate', '--image', image, '--set', 'KSampler.steps=2'],
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toMatch(/^ComfyUI {3}embedded/);
  expect(stderr).toMatch(/^ +\d+ % {2}\S/m);
  expect(stderr).not.toContain('\u001b');
  expect(await readdir(join(cli.folder, 'output'))).toHaveLength(1);
});

test('a program gets one line of JSON and nothing else, and no file is written over', async () => {
  await using all = await startComfyRig();
  const { cli } = all;
  const job = JSON.stringify({
    id: 'mine',
    input: {
      workflow: { '1': empty, '2': { ...save, inputs: { ...save.inputs, images: ['1', 0] } } },
    },
  });
  const args = ['run', '-', '--json', '--quiet', '--out', 'deep/er'];
  const first = await cli.run(args, job);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(first.stdout)).toMatchObject({
    id: 'mine',
    status: 'COMPLETED',
    images: [{ filename: 'T_00001_.png', path: 'deep/er/T_00001_.png' }],
  });
  expect(first.stdout.trim().split('\n')).toHaveLength(1);
  const path = join(cli.folder, 'deep/er/T_00001_.png');
  await writeFile(path, 'mine');
  const second = await cli.run(args, job);
  expect(JSON.parse(second.stdout)).toMatchObject({ images: [{ path: 'deep/er/T_00001_-2.png' }] });
  expect(await readFile(path, 'utf8')).toBe('mine');
});

test('a value of --set reaches ComfyUI with every digit, and the rest of the workflow is unchanged', async () => {
  await using all = await startComfyRig();
  const { cli, comfy } = all;
  const text = `{"1":${JSON.stringify(empty)},"2":{"class_type":"ProbeSampler","inputs":{"image":["1",0],"steps":1,"step_ms":0,"seed":1,"note":1},"_meta":{"weight":1.0}},"3":${JSON.stringify(save)}}`;
  const { code } = await cli.run(['run', '-', '--set', '2.note=18446744073709551615'], text);
  expect(code).toBe(0);
  const history = await (await fetch(`${comfy.url}/history`)).text();
  expect(history).toContain('18446744073709551615');
  expect(history).toMatch(/"weight": ?1\.0/);
});

test('a file of the editor is converted and run, with the inputs that are set', async () => {
  await using all = await startComfyRig();
  const editor = {
    nodes: [
      { id: 1, type: 'EmptyImage', outputs: [{ type: 'IMAGE' }], widgets_values: [8, 8, 1, 0] },
      {
        id: 2,
        type: 'SaveImage',
        inputs: [{ name: 'images', type: 'IMAGE', link: 1 }],
        widgets_values: ['edited'],
      },
    ],
    links: [[1, 1, 0, 2, 0, 'IMAGE']],
    version: 0.4,
  };
  const args = ['run', '-', '--json', '--set', 'SaveImage.filename_prefix=set'];
  const { code, stdout } = await all.cli.run(args, JSON.stringify(editor));
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ images: [{ filename: 'set_00001_.png' }] });
});

test.each(['comfyui.png', 'compressed.png', 'make.jpg'])(
  'the workflow in the metadata of %s is run',
  async (name) => {
    await using all = await startComfyRig();
    const file = resolve('test_resources/media/embedded', name);
    const { code, stdout } = await all.cli.run(['run', file, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ images: [{ filename: 'made_00001_.png' }, {}] });
  },
);

test('a node that fails ends with 1 and says which', async () => {
  await using all = await startComfyRig();
  const fail = { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } };
  const workflow = JSON.stringify({ '1': empty, '2': fail, '3': save });
  const { code, stdout, stderr } = await all.cli.run(['run', '-', '--json'], workflow);
  expect(code).toBe(1);
  expect(stderr).toMatch(/ProbeFail.*boom/);
  expect(JSON.parse(stdout)).toMatchObject({ status: 'FAILED', error: 'Job processing failed' });
});

test('Ctrl-C interrupts the prompt in ComfyUI and ends with 130', async () => {
  await using all = await startComfyRig();
  const { cli, comfy } = all;
  const running = cli.start(['run', '-'], JSON.stringify(sampling(50)));
  await comfy.waitFor({ type: 'progress' });
  running.interrupt();
  expect(await running.finished).toMatchObject({ code: 130 });
  await comfy.waitFor({ type: 'execution_interrupted' });
  expect(await queueLength(comfy.url)).toBe(0);
});

test('a second Ctrl-C ends at once, even when ComfyUI does not answer', async () => {
  await using all = await startComfyRig();
  const { cli, comfy } = all;
  const sleep = { class_type: 'ProbeSleep', inputs: { image: ['1', 0], ms: 20_000 } };
  const running = cli.start(['run', '-'], JSON.stringify({ ...sampling(0), '2': sleep }));
  await comfy.waitFor({ type: 'execution_start' });
  running.interrupt();
  await running.tells(/Cancelling/);
  const again = setInterval(() => running.interrupt(), 60);
  expect(await running.finished).toMatchObject({ code: 130 });
  clearInterval(again);
});

test('a job over its time is interrupted and ends with 4', async () => {
  await using all = await startComfyRig();
  const { cli, comfy } = all;
  const workflow = JSON.stringify(sampling(500));
  const { code, stderr } = await cli.run(['run', '-', '--timeout', '2'], workflow);
  expect(code).toBe(4);
  expect(stderr).toContain('longer than --timeout 2');
  await comfy.waitFor({ type: 'execution_interrupted' });
});

test('no ComfyUI ends with 3 and says what to do, before anything is run', async () => {
  const comfy = await startScriptedEndpoint(() => ({ body: {} }));
  await comfy[Symbol.asyncDispose]();
  await using cli = await startCliRig({ COMFY_URL: comfy.url });
  const { code, stderr } = await cli.run(['run', '-'], JSON.stringify(sampling(0)));
  expect(code).toBe(3);
  expect(stderr).toContain(`No ComfyUI answers at ${comfy.url} (ECONNREFUSED)`);
  expect(stderr).toContain('--simulate');
});

test('undelivered results of the worker are not touched', async () => {
  await using all = await startComfyRig();
  const { cli } = all;
  const spool = join(cli.folder, 'spool');
  await mkdir(spool);
  await writeFile(join(spool, 'x.result'), '{"jobId":"x","isStream":false,"bytes":2}\n{}');
  expect(await cli.run(['run', '-'], JSON.stringify(sampling(0)))).toMatchObject({ code: 0 });
  expect(await readdir(spool)).toEqual(['x.result']);
});

test.each<[string, string[], RegExp]>([
  ['', ['run', 'nowhere.json'], /^nowhere\.json cannot be read: there is no such file/],
  ['{oops', ['run', '-'], /^No job can be read from stdin: it is not JSON/],
  ['GIF89a\0', ['run', '-'], /from stdin: files of the type image\/gif carry no workflow/],
  ['[1]', ['run', '-'], /it is a JSON array/],
  ['{"a":1}', ['run', '-'], /expected "input", "workflow" or nodes .* found an object with "a"/],
  ['{"input":[]}', ['run', '-'], /its "input" is of kind array/],
  ['{"1":{"class_type":"A","inputs":{}}}', ['run', '-', '--set', 'B.x=1'], /No node is called "B"/],
  ['{"1":{"class_type":"A","inputs":{}}}', ['run', '-', '--image', 'a=b.png'], /b\.png cannot/],
  ['{"1":{"class_type":"A","inputs":{}}}', ['run', '-', '--image', '=b'], /--image name=path/],
  ['{"1":{"class_type":"A","inputs":{}}}', ['run', '-', '--out', '/dev/null/x'], /cannot be saved/],
  ['', ['run', '-', '--timeout', 'soon'], /whole number from 1/],
  ['', ['run'], /missing required argument/],
  ['', ['run', '-', '--fast'], /unknown option/],
  ['', ['serv'], /unknown command 'serv'/],
])('%j to %j ends with 2 and a reason', async (input, args, reason) => {
  await using cli = await startCliRig();
  const { code, stdout, stderr } = await cli.runHere(args, input);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(reason);
});

test('settings that cannot be read end with 2', async () => {
  await using cli = await startCliRig({ COMFY_URL: 'nonsense' });
  const { code, stderr } = await cli.runHere(['run', '-'], '{}');
  expect(code).toBe(2);
  expect(stderr).toContain('COMFY_URL must be a URL');
});

test('--help lists the exit codes, and --version prints the version', async () => {
  await using cli = await startCliRig();
  const [help, version] = await Promise.all([cli.run(['--help']), cli.run(['--version'])]);
  expect(help).toMatchObject({ code: 0, stderr: '' });
  expect(help.stdout).toMatch(/run .*\n.*submit[^]*Exit codes:[^]*130 /);
  expect(version.stdout).toMatch(/^\d+\.\d+\.\d+/);
});

test('start is the worker itself, with the flags of the Python SDK', async () => {
  await using all = await startComfyRig();
  const input = JSON.stringify({ input: { workflow: sampling(0) } });
  const { code, stdout } = await all.cli.run(['start', '--test_input', input]);
  expect(code).toBe(0);
  expect(stdout).toContain('Starting Serverless Worker');
});

async function queueLength(url: string): Promise<number> {
  const queue = (await (await fetch(`${url}/queue`)).json()) as Record<string, unknown[]>;
  return Object.values(queue).flat().length;
}
