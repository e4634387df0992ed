import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import type { ProblemContext } from './node-problems.ts';
import { rejectionText } from './rejection.ts';

const nothingKnown: ProblemContext = {
  workflow: JsonText.of({}),
  nodeInfo: () => Promise.resolve(undefined),
};
const text = (body: string, context = nothingKnown) => rejectionText(body, context);

const failed = {
  type: 'prompt_outputs_failed_validation',
  message: 'Prompt outputs failed validation',
};

/** The text after the label for one error of node 4, a `Loader` titled "My loader" with these inputs. */
async function bullet(error: object, { inputs = {}, others = {}, choices }: Setting = {}) {
  const node_errors = { 4: { errors: [error], dependent_outputs: ['9'], class_type: 'Loader' } };
  const lines = await text(JSON.stringify({ error: failed, node_errors }), {
    workflow: JsonText.of({
      ...others,
      4: { class_type: 'Loader', inputs, _meta: { title: 'My loader' } },
    }),
    nodeInfo: () =>
      Promise.resolve(choices && JsonText.of({ input: { required: { file: [choices, {}] } } })),
  });
  expect(lines).toMatch(/^Workflow validation failed:\n• Node 4 \(Loader "My loader"\): /);
  return lines.slice(lines.indexOf('): ') + 3);
}

interface Setting {
  readonly inputs?: object;
  readonly others?: object;
  readonly choices?: readonly string[];
}

test.each([
  ['{}', 'Workflow validation failed. Raw response: {}'],
  ['{"error":"plain text"}', 'plain text. Raw response: {"error":"plain text"}'],
  ['{"error":null}', 'None. Raw response: {"error":null}'],
  ['{"error":{"type":"x"}}', 'Workflow validation failed. Raw response: {"error":{"type":"x"}}'],
  ['{"error":{"message":"M"},"node_errors":{"5":"bad"}}', 'M:\n• Node 5: bad'],
  [
    '{"error":{"message":"M"},"node_errors":{"5":{"a":1,"b":"c"}}}',
    'M:\n• Node 5 (a): 1\n• Node 5 (b): c',
  ],
  ['<h1>x</h1>', 'ComfyUI validation failed (could not parse error response): <h1>x</h1>'],
  [
    '{"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs"}, "node_errors": {}}',
    'Prompt has no outputs. Raw response: {"error": {"type": "prompt_no_outputs", "message": "Prompt has no outputs"}, "node_errors": {}}',
  ],
  [
    '{"type":"prompt_outputs_failed_validation"}',
    'Workflow validation failed\n\nThis usually means a required model or parameter is not available.\n' +
      'No checkpoint models appear to be available. Please check your model installation.',
  ],
])('the error text for answer %s stays byte for byte', async (body, expected) => {
  expect(await text(body)).toBe(expected);
});

test.each(['[1]', '"x"', '{"node_errors":[]}'])(
  'an answer of unknown shape is quoted: %s',
  async (body) => {
    expect(await text(body)).toBe(`Unexpected error queuing workflow: ${body}`);
  },
);

test("problems keep ComfyUI's order of nodes instead of numeric order", async () => {
  const body =
    '{"error":"E","node_errors":{"10":{"errors":[{"message":"a"}],"class_type":"A"},"2":"b"}}';
  expect(await text(body)).toBe('E:\n• Node 10 (A): a\n• Node 2: b');
});

const config = ['INT', { min: 1, max: 18 }];
test.each([
  [
    { type: 'required_input_missing', details: 'image', extra_info: { input_name: 'image' } },
    'required input image is missing',
  ],
  [
    {
      type: 'value_smaller_than_min',
      extra_info: { input_name: 'width', input_config: config, received_value: 0 },
    },
    'width 0 is below the minimum 1',
  ],
  [
    {
      type: 'value_bigger_than_max',
      extra_info: { input_name: 'width', input_config: config, received_value: 1e3 },
    },
    'width 1000 is above the maximum 18',
  ],
  [
    {
      type: 'invalid_input_type',
      extra_info: { input_name: 'width', input_config: config, received_value: 'tall' },
    },
    'width "tall" cannot be read as INT',
  ],
  [
    {
      type: 'bad_linked_input',
      extra_info: { input_name: 'image', input_config: ['IMAGE'], received_value: ['1'] },
    },
    'image ["1"] is not a link; a link is ["node id", output number]',
  ],
  [
    {
      type: 'custom_validation_failed',
      details: 'image - Invalid image file: nope.png',
      extra_info: { input_name: 'image' },
    },
    'image: Invalid image file: nope.png',
  ],
  [
    { type: 'dependency_cycle', extra_info: { node_id: '1', cycle_nodes: ['1', '2', '1'] } },
    'is part of a cycle: 1 → 2 → 1',
  ],
  [{ type: 'made_up', message: 'Odd', details: 'very' }, 'Odd: very'],
  [
    {
      type: 'value_not_in_list',
      extra_info: {
        input_name: 'sampler_name',
        input_config: [['euler', 'lms']],
        received_value: 'eulr',
      },
    },
    'sampler_name "eulr" is not one of its choices; available: euler, lms',
  ],
  [
    {
      type: 'value_not_in_list',
      extra_info: {
        input_name: 'file',
        input_config: ['COMBO', { options: [] }],
        received_value: 'x.safetensors',
      },
    },
    'file "x.safetensors" is not installed; available: none',
  ],
  [
    { type: 'missing_node_type', extra_info: { class_type: 'Nope', similar: [] } },
    'this class of nodes is not installed',
  ],
  [
    {
      type: 'missing_node_type',
      extra_info: { class_type: 'Nope', similar: ['Note'], simulated: true },
    },
    'this class of nodes is not in the simulation, which has neither node packs nor partner nodes; a real ComfyUI may have it; did you mean Note?',
  ],
])('problem %j gets its own text', async (error, expected) => {
  expect(await bullet(error)).toBe(expected);
});

test('a value is shown with all its digits', async () => {
  const body =
    '{"error":"E","node_errors":{"4":{"class_type":"K","errors":[{"type":"value_bigger_than_max","extra_info":' +
    '{"input_name":"seed","input_config":["INT",{"max":18446744073709551615}],"received_value":18446744073709551616}}]}}}';
  expect(await text(body)).toBe(
    'E:\n• Node 4 (K): seed 18446744073709551616 is above the maximum 18446744073709551615',
  );
});

test('of a long list of choices the most similar ones are listed, even if ComfyUI leaves the list out', async () => {
  const choices = Array.from({ length: 40 }, (_, i) => `model-${i}.safetensors`);
  choices.push('styles/flux1_dev-fp8.safetensors');
  const extra_info = {
    input_name: 'file',
    input_config: null,
    received_value: 'FLUX1-dev.safetensors',
  };
  const told = await bullet({ type: 'value_not_in_list', extra_info }, { choices });
  expect(told).toMatch(
    /^file "FLUX1-dev.safetensors" is not installed; available: styles\/flux1_dev-fp8.safetensors, .* and 33 more$/,
  );
});

test('a type mismatch names both ends of the link', async () => {
  const extra_info = {
    input_name: 'images',
    input_config: ['IMAGE', {}],
    received_type: 'LATENT',
    linked_node: ['1', 0],
  };
  const others = { 1: { class_type: 'EmptyLatentImage', inputs: {} } };
  expect(await bullet({ type: 'return_type_mismatch', extra_info }, { others })).toBe(
    'images needs IMAGE, but output 0 of node 1 (EmptyLatentImage) gives LATENT',
  );
});

test('a link to a missing node is reported without traceback and paths', async () => {
  const traceback = ['  File "/comfyui/execution.py", line 1043, in validate_prompt\n'];
  const error = {
    type: 'exception_during_validation',
    details: "'77'",
    extra_info: { exception_type: 'KeyError', traceback },
  };
  expect(await bullet(error, { inputs: { images: ['77', 0], width: 3 } })).toBe(
    'images is linked to node 77, which is not in the workflow',
  );
});

test('another exception during validation is named, without folders of the server', async () => {
  const extra_info = {
    exception_type: 'OSError',
    exception_message: "cannot open '/opt/comfyui/models/x.bin'",
  };
  expect(await bullet({ type: 'exception_during_inner_validation', extra_info })).toBe(
    "ComfyUI could not check it (OSError: cannot open 'x.bin')",
  );
});

test('for thousands of wrong nodes of one class, ComfyUI is asked about that class once', async () => {
  const ids = Array.from({ length: 5000 }, (_, index) => `n${index}`);
  const error = {
    type: 'value_not_in_list',
    extra_info: { input_name: 'file', received_value: 'x.ckpt' },
  };
  const broken = { type: 'exception_during_validation' };
  const entry = { errors: [error, broken], class_type: 'Loader' };
  const node = { class_type: 'Loader', inputs: { model: ['gone', 0] } };
  let asked = 0;
  const lines = await text(
    JSON.stringify({
      error: failed,
      node_errors: Object.fromEntries(ids.map((id) => [id, entry])),
    }),
    {
      workflow: JsonText.of(Object.fromEntries(ids.map((id) => [id, node]))),
      nodeInfo: () => {
        asked++;
        return Promise.resolve(undefined);
      },
    },
  );
  expect(lines.split('\n')).toHaveLength(52); // 50 lines, and how many more
  expect(asked).toBe(1);
});

test('missing model files are named in the text of older and in the text of newer Python workers', async () => {
  const missing = (name: string, file: string) => ({
    type: 'value_not_in_list',
    extra_info: { input_name: name, received_value: file, input_config: [['a.safetensors'], {}] },
  });
  const node_errors = {
    4: { class_type: 'CheckpointLoaderSimple', errors: [missing('ckpt_name', 'x.safetensors')] },
    5: { class_type: 'LoraLoader', errors: [missing('lora_name', 'y.safetensors')] },
    6: { class_type: 'KSampler', errors: [missing('sampler_name', 'z')] },
  };
  expect(await text(JSON.stringify({ error: failed, node_errors }))).toBe(
    [
      'Workflow validation failed:',
      '• Node 4 (CheckpointLoaderSimple): ckpt_name "x.safetensors" is not installed; available: a.safetensors',
      '• Node 5 (LoraLoader): lora_name "y.safetensors" is not installed; available: a.safetensors',
      '• Node 6 (KSampler): sampler_name "z" is not one of its choices; available: a.safetensors',
      '',
      'Workflow validation failed — the following referenced files are not available on this worker:',
      '• x.safetensors (ckpt_name of node 4, CheckpointLoaderSimple)',
      '• y.safetensors (lora_name of node 5, LoraLoader)',
      '',
      'Add these files to the worker, or use files that it has.',
      '',
      'No checkpoint models appear to be available. Please check your model installation.',
    ].join('\n'),
  );
});

test('100,000 wrong nodes are 50 lines and a count', async () => {
  const wrong = (at: number) => [
    `${at}`,
    { class_type: 'A', errors: [{ type: 'odd', message: 'x' }] },
  ];
  const node_errors: unknown = Object.fromEntries(
    Array.from({ length: 100_000 }, (_, at) => wrong(at)),
  );
  const lines = (await text(JSON.stringify({ node_errors }))).split('\n');
  expect(lines).toHaveLength(52);
  expect(lines.at(-1)).toBe('• ... and 99950 more');
});

test('an answer that is not understood is quoted from its beginning only', async () => {
  expect((await text('x'.repeat(1_000_000))).length).toBeLessThan(10_000);
});
