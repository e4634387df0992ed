import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { never, openComfy, silentLog } from '../lib/comfy/test-comfy.ts';
import { JsonText } from '../lib/json.ts';
import { PROBE_NODES } from '../lib/simulator/comfy/testing/probe-nodes.ts';
import { startComfySimulator } from '../lib/simulator/comfy/simulator.ts';
import { checkWorkflow } from './check-workflow.ts';
import { resolveWorkflow } from './resolve-workflow.ts';

async function open() {
  const parts = new AsyncDisposableStack();
  const simulator = parts.use(
    await startComfySimulator({
      nodes: PROBE_NODES,
      speed: Infinity,
      models: { checkpoints: ['sdxl.safetensors'] },
    }),
  );
  const comfy = parts.use(openComfy(simulator.url));
  await comfy.waitUntilReady(never);
  return { simulator, comfy, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

const API = `{"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":8.0,"batch_size":1,"color":0}},
 "2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}}`;

const socket = (name: string, type: string, link: number | null) => ({ name, type, link });
const widget = (name: string, type: string, link: number | null) => ({
  ...socket(name, type, link),
  widget: { name },
});

/** A picture of a width a primitive gives, rerouted, past a bypassed node, and inverted within a subgraph. */
const EDITOR = {
  last_node_id: 12,
  version: 0.4,
  nodes: [
    {
      id: 1,
      type: 'EmptyImage',
      inputs: [widget('width', 'INT', 9)],
      outputs: [{ type: 'IMAGE' }],
      widgets_values: [8, 32, 1, 255],
    },
    { id: 2, type: 'Reroute', inputs: [socket('', '*', 1)], outputs: [{ type: 'IMAGE' }] },
    {
      id: 4,
      type: 'ImageInvert',
      mode: 4,
      inputs: [socket('image', 'IMAGE', 2)],
      outputs: [{ type: 'IMAGE' }],
    },
    {
      id: 12,
      type: 'subgraph-id',
      inputs: [socket('picture', 'IMAGE', 3)],
      outputs: [{ type: 'IMAGE' }],
    },
    {
      id: 3,
      type: 'SaveImage',
      title: 'Keep',
      inputs: [socket('images', 'IMAGE', 4)],
      widgets_values: ['edited'],
    },
    { id: 8, type: 'Note', widgets_values: ['a remark'] },
    { id: 9, type: 'PrimitiveNode', outputs: [{ type: 'INT' }], widgets_values: [64, 'fixed'] },
    {
      id: 10,
      type: 'SaveImage',
      mode: 2,
      inputs: [socket('images', 'IMAGE', 5)],
      widgets_values: ['muted'],
    },
  ],
  links: [
    [1, 1, 0, 2, 0, '*'],
    [2, 2, 0, 4, 0, 'IMAGE'],
    [3, 4, 0, 12, 0, 'IMAGE'],
    [4, 12, 0, 3, 0, 'IMAGE'],
    [5, 12, 0, 10, 0, 'IMAGE'],
    [9, 9, 0, 1, 0, 'INT'],
  ],
  definitions: {
    subgraphs: [
      {
        id: 'subgraph-id',
        inputs: [{ name: 'picture', type: 'IMAGE' }],
        outputs: [{ name: 'IMAGE', type: 'IMAGE' }],
        nodes: [
          {
            id: 5,
            type: 'ImageInvert',
            inputs: [socket('image', 'IMAGE', 1)],
            outputs: [{ type: 'IMAGE' }],
          },
        ],
        links: [
          { id: 1, origin_id: -10, origin_slot: 0, target_id: 5, target_slot: 0, type: 'IMAGE' },
          { id: 2, origin_id: 5, origin_slot: 0, target_id: -20, target_slot: 0, type: 'IMAGE' },
        ],
      },
    ],
  },
};

test('a workflow in API format is not changed, and ComfyUI is not asked', async () => {
  const comfy = { describeNodes: () => Promise.reject(new Error('asked')) };
  const sent = JsonText.parse(API);
  expect((await resolveWorkflow({ workflow: sent }, { comfy, signal: never })).workflow.text).toBe(
    API,
  );
  const named = { name: API };
  expect((await resolveWorkflow({ workflow: named }, { comfy, signal: never })).workflow.text).toBe(
    API,
  );
});

test('a workflow in the editor format is converted, overridden, checked and run', async () => {
  await using rig = await open();
  const options = { comfy: rig.comfy, signal: never };
  const overrides = JsonText.parse('{"Keep.filename_prefix":"changed"}');
  const { workflow } = await resolveWorkflow({ workflow: JsonText.of(EDITOR), overrides }, options);
  await checkWorkflow(workflow, options);
  const outcome = await rig.comfy.runPrompt({ workflow }, { signal: never, log: silentLog });
  expect(outcome.problems).toEqual([]);
  expect(outcome.outputs?.text).toContain('changed_00001_.png');
  expect(Object.keys(workflow.value() as object)).toEqual(['1', '3', '12:5']);
});

test('a workflow is opened by name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'resolve-'));
  await writeFile(join(folder, 'tiny.json'), API);
  const comfy = { describeNodes: () => Promise.resolve(undefined) };
  const open = (workflowsDir: string | undefined) =>
    resolveWorkflow({ workflow: { name: 'tiny' } }, { comfy, workflowsDir, signal: never });
  expect((await open(folder)).workflow.text).toBe(API);
  await expect(open(undefined)).rejects.toThrow(/got the text "tiny"; .*WORKFLOWS_DIR is not set/);
  await rm(folder, { recursive: true });
});

test.each(['[]', '7', 'true'])(
  '%s is refused with the menu entry that exports a workflow',
  async (text) => {
    const comfy = { describeNodes: () => Promise.resolve(undefined) };
    const resolving = resolveWorkflow({ workflow: JsonText.parse(text) }, { comfy, signal: never });
    await expect(resolving).rejects.toThrow(/Workflow > Export \(API\)/);
  },
);

test('a file that is certainly no workflow is refused with its name, before ComfyUI gets it', async () => {
  const comfy = { describeNodes: () => Promise.resolve(undefined) };
  const workflow = JsonText.parse('{"KSampler":{"input":{},"output":[],"category":"sampling"}}');
  await expect(resolveWorkflow({ workflow }, { comfy, signal: never })).rejects.toThrow(
    /^Expected input\.workflow to be .* got an answer of ComfyUI's \/object_info/,
  );
});

test('the editor format is refused when ComfyUI does not describe its nodes', async () => {
  const comfy = { describeNodes: () => Promise.resolve(undefined) };
  const resolving = resolveWorkflow({ workflow: JsonText.of(EDITOR) }, { comfy, signal: never });
  await expect(resolving).rejects.toThrow(/\/object_info.*Workflow > Export \(API\)/);
});

test('a class that a simulation lacks is not said to be missing where the workflow runs for real', async () => {
  const comfy = { describeNodes: () => Promise.resolve(new Map<string, JsonText>()) };
  const workflow = JsonText.of({ nodes: [{ id: 1, type: 'Nope', outputs: [{ type: '*' }] }] });
  const resolve = (simulated: boolean) =>
    resolveWorkflow({ workflow }, { comfy, simulated, signal: never });
  await expect(resolve(true)).rejects.toThrow(/"Nope" is not in the simulation.*a real ComfyUI/);
  await expect(resolve(false)).rejects.toThrow(/"Nope" is not installed/);
});

test('a random seed is within the limits of its node', async () => {
  await using rig = await open();
  const workflow = JsonText.parse('{"1":{"class_type":"ProbeSampler","inputs":{"seed":1}}}');
  const overrides = JsonText.parse('{"1.seed":"randomize"}');
  const resolved = await resolveWorkflow(
    { workflow, overrides },
    { comfy: rig.comfy, signal: never },
  );
  expect(resolved.workflow.get('1')?.get('inputs')?.get('seed')?.text).toBe(
    resolved.randomized?.['1.seed'],
  );
});

const check = async (workflow: object) => {
  await using rig = await open();
  await checkWorkflow(JsonText.of(workflow), { comfy: rig.comfy, signal: never });
};
const image = (more: object = {}) => ({
  class_type: 'EmptyImage',
  inputs: { width: 8, height: 8, batch_size: 1, color: 0, ...more },
});
const save = (from: string) => ({
  class_type: 'SaveImage',
  inputs: { images: [from, 0], filename_prefix: 'x' },
  _meta: { title: 'Keep' },
});

test('all problems are reported at once, worded like a rejection by ComfyUI', async () => {
  const checking = check({
    '1': image({ width: 0 }),
    '2': { class_type: 'ImageInvrt', inputs: { image: ['1', 0] } },
    '3': save('2'),
    '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'nope.safetensors' } },
    '5': { class_type: 'VAEDecode', inputs: { vae: ['4', 2] } },
    '6': save('5'),
    '7': save('77'),
  });
  await expect(checking).rejects.toThrow(
    `Cannot execute because node ImageInvrt does not exist:
• Node 1 (EmptyImage): width 0 is below the minimum 1
• Node 2 (ImageInvrt): this class of nodes is not installed; did you mean ImageInvert?
• Node 4 (CheckpointLoaderSimple): ckpt_name "nope.safetensors" is not installed; available: sdxl.safetensors
• Node 5 (VAEDecode): required input samples is missing
• Node 7 (SaveImage "Keep"): images is linked to node 77, which is not in the workflow

Workflow validation failed — the following referenced files are not available on this worker:
• nope.safetensors (ckpt_name of node 4, CheckpointLoaderSimple)

Add these files to the worker, or use files that it has.

Available checkpoint models: sdxl.safetensors`,
  );
});

test('a workflow that would crash the executor is refused, and the next one passes', async () => {
  await using rig = await open();
  const options = { comfy: rig.comfy, signal: never };
  const poisoned = JsonText.of({ '1': image({ bogus: ['999', 0] }), '2': save('1') });
  await expect(checkWorkflow(poisoned, options)).rejects.toThrow(
    /Node 1 \(EmptyImage\): bogus is linked to node 999, which is not in the workflow/,
  );
  await expect(
    checkWorkflow(JsonText.of({ '1': image(), '2': save('1') }), options),
  ).resolves.toBeUndefined();
});

test('a model installed after the first check is found', async () => {
  await using rig = await open();
  const options = { comfy: rig.comfy, signal: never };
  const loading = (name: string) =>
    JsonText.of({
      '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: name } },
      '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
      '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
      '9': save('8'),
    });
  await checkWorkflow(loading('sdxl.safetensors'), options);
  const known = await rig.comfy.describeNodes(['CheckpointLoaderSimple'], options);
  const stale = JsonText.parse(
    known!.get('CheckpointLoaderSimple')!.text.replace('sdxl.safetensors', 'old.safetensors'),
  );
  const forgetful = {
    describeNodes: async (
      names: Iterable<string>,
      asked: { signal: AbortSignal; fresh?: boolean },
    ) => {
      const infos = await rig.comfy.describeNodes(names, asked);
      return asked.fresh ? infos : new Map([...infos!, ['CheckpointLoaderSimple', stale] as const]);
    },
    nodeClassNames: rig.comfy.nodeClassNames.bind(rig.comfy),
    replacedClassNames: rig.comfy.replacedClassNames.bind(rig.comfy),
    rejection: rig.comfy.rejection.bind(rig.comfy),
  };
  await checkWorkflow(loading('sdxl.safetensors'), { ...options, comfy: forgetful });
  await expect(
    checkWorkflow(loading('gone.safetensors'), { ...options, comfy: forgetful }),
  ).rejects.toThrow(/ckpt_name "gone.safetensors" is not installed/);
});

test('when ComfyUI does not describe its nodes, only what certainly crashes it is refused', async () => {
  await using rig = await open();
  const silent = {
    describeNodes: () => Promise.resolve(undefined),
    nodeClassNames: () => Promise.resolve([]),
    replacedClassNames: () => Promise.resolve(new Set<string>()),
    rejection: rig.comfy.rejection.bind(rig.comfy),
  };
  const options = { comfy: silent, signal: never };
  await checkWorkflow(JsonText.of({ '1': { class_type: 'Nope', inputs: {} } }), options);
  await expect(
    checkWorkflow(JsonText.of({ '1': { class_type: 'Nope' } }), options),
  ).rejects.toThrow(/Node 1 \(Nope\): has no inputs object/);
});

test('a workflow without an output node is refused with the node to add', async () => {
  await expect(check({ '1': image() })).rejects.toThrow(
    /add one that saves or previews, for example SaveImage/,
  );
});
