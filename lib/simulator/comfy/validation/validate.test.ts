import { expect, test } from '@jest/globals';
import { PROBE_NODES } from '../testing/probe-nodes.ts';
import { NODES } from '../nodes/registry.ts';
import { readJson, writeJson } from '../python/python-json.ts';
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

async function validate(graph: unknown) {
  const prompt = readJson(typeof graph === 'string' ? graph : JSON.stringify(graph));
  const verdict = await validatePrompt(prompt, catalogue, undefined);
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
])('%s is refused as %s', async (graph, type) => {
  expect((await validate(graph)).error?.type).toBe(type);
});

test.each(['null', '5', '[1]', '{"last_node_id": 3}', '"text"'])(
  'the body %s gives an internal error',
  async (graph) => {
    await expect(validate(graph)).rejects.toThrow();
  },
);
