import { expect, test } from '@jest/globals';
import { PROBE_NODES } from '../testing/probe-nodes.ts';
import { profileOf, type ComfyVersion } from '../profile.ts';
import { NODES } from '../nodes/registry.ts';
import { readJson, writeJson } from '../python/python-json.ts';
import { replaceNodes } from './node-replacements.ts';
import { validatePrompt } from './validate.ts';

const catalogue = {
  nodes: new Map([...NODES, ...PROBE_NODES]),
  host: { folders: { input: '/none', output: '/none', temp: '/none' }, models: {} },
};

const image = {
  class_type: 'EmptyImage',
  inputs: { width: 8, height: 8, batch_size: 1, color: 0 },
};
const save = { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } };

interface Plain {
  readonly error?: { readonly type: string; readonly details: string };
  readonly goodOutputs: string[];
  readonly nodeErrors: Record<
    string,
    { errors: { type: string; details: string; extra_info: object }[]; dependent_outputs: string[] }
  >;
}

async function validate(graph: unknown, version?: ComfyVersion) {
  const prompt = readJson(typeof graph === 'string' ? graph : JSON.stringify(graph));
  const verdict = await validatePrompt(
    prompt,
    { ...catalogue, profile: profileOf(version) },
    undefined,
  );
  return { ...(JSON.parse(writeJson(verdict)) as Plain), prompt: writeJson(prompt) };
}

test('an invalid output does not stop the valid ones', async () => {
  const bad = { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } };
  const verdict = await validate({ 1: image, 2: save, 3: bad });
  expect(verdict.error).toBeUndefined();
  expect(verdict.goodOutputs).toEqual(['2']);
  expect(verdict.nodeErrors).toMatchObject({ 3: { errors: [{ type: 'required_input_missing' }] } });
});

test('literals are converted to the declared type, also in the queue and the history', async () => {
  const inputs = { width: '7', height: 1.9, batch_size: true, color: { __value__: 5 } };
  const verdict = await validate({ 1: { ...image, inputs }, 2: save });
  expect(verdict.prompt).toContain('{"width": 7, "height": 1, "batch_size": 1, "color": 5}');
});

test('a seed of 2^64-1 is valid, one more is not', async () => {
  const graph = (value: string) =>
    `{"1": {"class_type": "ProbeValue", "inputs": {"value": ${value}}}}`;
  expect((await validate(graph('18446744073709551615'))).goodOutputs).toEqual(['1']);
  const { nodeErrors } = await validate(graph('18446744073709551616'));
  expect(nodeErrors[1]!.errors[0]).toMatchObject({
    type: 'value_bigger_than_max',
    message: 'Value 18446744073709551616 bigger than max of 18446744073709551615',
  });
});

test.each([
  [['1'], 'bad_linked_input', 'images'],
  [['99', 0], 'exception_during_validation', "'99'"],
  [[1, 0], 'exception_during_validation', '1'],
  [['1', 3], 'exception_during_validation', 'tuple index out of range'],
])('a link of %j is complained about: %s', async (images, type, details) => {
  const verdict = await validate({ 1: image, 2: { ...save, inputs: { ...save.inputs, images } } });
  expect(verdict.nodeErrors[2]!.errors[0]).toMatchObject({ type, details });
});

test('a bad link upstream is reported at its own node', async () => {
  const invert = { class_type: 'ImageInvert', inputs: { image: ['99', 0] } };
  const verdict = await validate({ 1: invert, 2: save });
  expect(Object.keys(verdict.nodeErrors)).toEqual(['1']);
  expect(verdict.error?.details).toBe('');
  expect(verdict.nodeErrors[1]).toMatchObject({
    dependent_outputs: ['2'],
    errors: [
      {
        type: 'exception_during_inner_validation',
        extra_info: { input_name: 'images', exception_type: 'KeyError', linked_node: ['1', 0] },
      },
    ],
  });
});

test('for a long list of choices, the error only gives its length', async () => {
  const scale = {
    class_type: 'KSampler',
    inputs: { sampler_name: 'odd', model: ['9', 0], positive: ['9', 0] },
  };
  const { nodeErrors } = await validate({
    1: scale,
    2: { class_type: 'VAEDecode', inputs: { samples: ['1', 0], vae: ['9', 2] } },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'x' } },
    9: { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'odd' } },
  });
  const wrong = nodeErrors[1]!.errors.find(({ type }) => type === 'value_not_in_list');
  expect(wrong?.details).toMatch(/^sampler_name: 'odd' not in \(list of length \d+\)$/);
  expect(wrong?.extra_info).toMatchObject({ input_config: null });
});

test('nodes that no output needs are not validated', async () => {
  const stray = { class_type: 'CLIPTextEncode', inputs: {} };
  const verdict = await validate({ 1: image, 2: save, 3: stray });
  expect([verdict.goodOutputs, verdict.nodeErrors]).toEqual([['2'], {}]);
});

test.each([
  ['{"nodes": "a text"}', 'invalid_prompt'],
  ['{"1": []}', 'invalid_prompt'],
  ['[]', 'prompt_no_outputs'],
])('before 0.33, %s is refused as %s', async (graph, type) => {
  expect((await validate(graph, '0.8.0')).error?.type).toBe(type);
});

test.each([
  [{ inputs: {} }, "Node 'ID #1' has no class_type.", null],
  [{ inputs: {}, _meta: { title: 'T' } }, "Node 'T' has no class_type.", 'T'],
  [{ class_type: 'Odd', inputs: {} }, "Node 'Odd' not found.", 'Odd'],
  [{ class_type: 'Odd', inputs: {}, _meta: { title: 'T' } }, "Node 'T' not found.", 'T'],
])('the node %j is reported with its title', async (node, message, node_title) => {
  const { error } = await validate({ 1: node });
  expect(error).toMatchObject({ type: 'missing_node_type', details: "Node ID '#1'" });
  expect((error as { message?: string } | undefined)?.message).toContain(message);
  const class_type = 'class_type' in node ? node.class_type : null;
  expect(error).toMatchObject({ extra_info: { node_id: '1', class_type, node_title } });
});

test('a cycle is reported at each of its nodes; before 0.33 at none', async () => {
  const invert = (from: string) => ({ class_type: 'ImageInvert', inputs: { image: [from, 0] } });
  const graph = { 1: invert('2'), 2: invert('1'), 3: { ...save, inputs: { images: ['1', 0] } } };
  const { nodeErrors } = await validate(graph);
  const details = '1 (ImageInvert) -> 2 (ImageInvert) -> 1 (ImageInvert)';
  for (const id of ['1', '2']) {
    const extra_info = { node_id: id, cycle_nodes: ['1', '2'] };
    expect(nodeErrors[id]!.errors).toMatchObject([
      { type: 'dependency_cycle', details, extra_info },
    ]);
  }
  expect((await validate(graph, '0.8.0')).nodeErrors[1]).toBeUndefined();
});

test('inputs with a check of their own skip the list check, others of the node do not', async () => {
  const mask = { class_type: 'LoadImageMask', inputs: { image: 'no.png', channel: 'odd' } };
  const view = { class_type: 'MaskToImage', inputs: { mask: ['1', 0] } };
  const { nodeErrors } = await validate({
    1: mask,
    2: view,
    3: { ...save, inputs: { images: ['2', 0], filename_prefix: 'x' } },
  });
  expect(nodeErrors[1]!.errors.map(({ details }) => details).sort()).toEqual([
    "channel: 'odd' not in ['alpha', 'red', 'green', 'blue']",
    'image - Invalid image file: no.png',
  ]);
});

test.each([
  [{}, "LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'"],
  [{ image: 5 }, "'int' object has no attribute 'endswith'"],
  [{ image: null }, "'NoneType' object has no attribute 'endswith'"],
])('LoadImage with %j raises in its own check', async (inputs, details) => {
  const { nodeErrors } = await validate({ 1: { class_type: 'LoadImage', inputs }, 2: save });
  expect(nodeErrors[1]!.errors).toMatchObject([
    { type: 'exception_during_inner_validation', details },
  ]);
});

test('a node of a missing class is replaced as /node_replacements says', () => {
  const prompt = readJson(
    '{"1": {"class_type": "T2IAdapterLoader", "_meta": {}, "inputs": {"t2i_adapter_name": "a"}}}',
  );
  const nodes = new Map([['ControlNetLoader', catalogue.nodes.get('SaveImage')!]]);
  replaceNodes(prompt, { ...catalogue, profile: profileOf(), nodes });
  expect(writeJson(prompt)).toBe(
    '{"1": {"class_type": "ControlNetLoader", "_meta": {}, "inputs": {"control_net_name": "a"}}}',
  );
  const bare = readJson('{"1": {"class_type": "T2IAdapterLoader", "inputs": {}}}');
  expect(() => replaceNodes(bare, { ...catalogue, profile: profileOf(), nodes })).toThrow('_meta');
});

test.each(['null', '5', '[1]', '{"last_node_id": 3}', '"text"'])(
  'the body %s gives an internal error',
  async (graph) => {
    await expect(validate(graph)).rejects.toThrow();
  },
);
