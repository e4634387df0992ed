import { expect, test } from '@jest/globals';
import { run, startWithFiles, type Graph } from '../../testing/run-graph.ts';

const image = {
  class_type: 'EmptyImage',
  inputs: { width: 40, height: 20, batch_size: 1, color: 255 },
};

test('a switch runs only the branch it chooses', async () => {
  await using comfy = await startWithFiles();
  const graph = (on: boolean): Graph => ({
    yes: { class_type: 'PrimitiveString', inputs: { value: 'yes' } },
    no: { class_type: 'LoadImage', inputs: { image: 'in.png' } },
    switch: {
      class_type: 'ComfySwitchNode',
      inputs: { switch: on, on_true: ['yes', 0], on_false: ['no', 0] },
    },
    show: { class_type: 'PreviewAny', inputs: { source: ['switch', 0] } },
  });
  const { outputs } = await run(comfy, graph(true));
  expect(outputs.show!.text).toEqual(['yes']);
  const started = comfy.past({ type: 'executing' }).map(({ nodeId }) => nodeId);
  expect(started).not.toContain('no');
});

test('a chosen way of resizing brings its own inputs', async () => {
  await using comfy = await startWithFiles();
  const { outputs } = await run(comfy, {
    image,
    resize: {
      class_type: 'ResizeImageMaskNode',
      inputs: {
        input: ['image', 0],
        resize_type: 'scale longer dimension',
        'resize_type.longer_size': 80,
        scale_method: 'area',
      },
    },
    size: { class_type: 'GetImageSize', inputs: { image: ['resize', 0] } },
    math: {
      class_type: 'ComfyMathExpression',
      inputs: { expression: 'a * 1000 + b', 'values.a': ['size', 0], 'values.b': ['size', 1] },
    },
    show: { class_type: 'PreviewAny', inputs: { source: ['math', 1] } },
    asFloat: { class_type: 'PreviewAny', inputs: { source: ['math', 0] } },
  });
  expect(outputs.show!.text).toEqual(['80040']);
  expect(outputs.asFloat!.text).toEqual(['80040.0']);
});

test('an undeclared option of a dynamic input is refused as the missing input of the chosen one', async () => {
  await using comfy = await startWithFiles();
  const inputs = { input: ['image', 0], resize_type: 'scale width', scale_method: 'area' };
  const answer = await fetch(`${comfy.url}/prompt`, {
    method: 'POST',
    body: JSON.stringify({
      prompt: {
        image,
        it: { class_type: 'ResizeImageMaskNode', inputs },
        show: { class_type: 'PreviewAny', inputs: { source: ['it', 0] } },
      },
    }),
  });
  const { node_errors } = (await answer.json()) as {
    node_errors: Record<string, { errors: unknown[] }>;
  };
  expect(node_errors.it!.errors).toEqual([
    {
      type: 'required_input_missing',
      message: 'Required input is missing',
      details: 'width',
      extra_info: { input_name: 'resize_type.width' },
    },
  ]);
});

test('a node without lists runs once for each item of a list', async () => {
  await using comfy = await startWithFiles();
  const { outputs } = await run(comfy, {
    image,
    tiles: {
      class_type: 'SplitImageToTileList',
      inputs: { image: ['image', 0], tile_width: 64, tile_height: 64, overlap: 0 },
    },
    list: {
      class_type: 'CreateList',
      inputs: {
        'inputs.input0': ['tiles', 0],
        'inputs.input1': ['image', 0],
        'inputs.input2': ['image', 0],
      },
    },
    save: { class_type: 'SaveImage', inputs: { images: ['list', 0], filename_prefix: 'tile' } },
  });
  expect(outputs.save!.images).toHaveLength(3);
});

test('a video is made by model nodes without a behaviour, taken apart and saved again', async () => {
  await using comfy = await startWithFiles();
  const { outputs } = await run(comfy, {
    model: {
      class_type: 'UNETLoader',
      inputs: { unet_name: 'any.safetensors', weight_dtype: 'default' },
    },
    clip: { class_type: 'CLIPLoader', inputs: { clip_name: 'any.safetensors', type: 'wan' } },
    vae: { class_type: 'VAELoader', inputs: { vae_name: 'any.safetensors' } },
    text: { class_type: 'CLIPTextEncode', inputs: { clip: ['clip', 0], text: 'a paper boat' } },
    start: {
      class_type: 'WanImageToVideo',
      inputs: {
        ...{ positive: ['text', 0], negative: ['text', 0], vae: ['vae', 0] },
        ...{ width: 64, height: 32, length: 5, batch_size: 1 },
      },
    },
    sample: {
      class_type: 'KSampler',
      inputs: {
        ...{
          model: ['model', 0],
          positive: ['start', 0],
          negative: ['start', 1],
          latent_image: ['start', 2],
        },
        ...{ seed: 1, steps: 1, cfg: 1, sampler_name: 'euler', scheduler: 'simple', denoise: 1 },
      },
    },
    decode: {
      class_type: 'VAEDecodeTiled',
      inputs: {
        ...{ samples: ['sample', 0], vae: ['vae', 0] },
        ...{ tile_size: 512, overlap: 64, temporal_size: 64, temporal_overlap: 8 },
      },
    },
    video: { class_type: 'CreateVideo', inputs: { images: ['decode', 0], fps: 16 } },
    parts: { class_type: 'GetVideoComponents', inputs: { video: ['video', 0] } },
    size: { class_type: 'GetImageSize', inputs: { image: ['parts', 0] } },
    count: { class_type: 'PreviewAny', inputs: { source: ['size', 2] } },
    save: {
      class_type: 'SaveVideo',
      inputs: { video: ['video', 0], filename_prefix: 'v', format: 'auto', 'format.codec': 'auto' },
    },
  });
  expect(outputs.count!.text).toEqual(['5']);
  expect(outputs.save).toMatchObject({ images: [{ filename: 'v_00001_.mp4' }], animated: [true] });
});

test.each([
  ['SaveText', { text: ['text', 0], filename_prefix: 't', format: 'md' }, 'files', 't_00001.md'],
  [
    'SaveImageAdvanced',
    {
      ...{ images: ['image', 0], filename_prefix: 'i', format: 'png' },
      ...{ 'format.bit_depth': '8-bit', 'format.input_color_space': 'sRGB' },
    },
    'images',
    'i_00001.png',
  ],
  [
    'SaveAudioAdvanced',
    { audio: ['audio', 0], filename_prefix: 'a', format: 'flac' },
    'audio',
    'a_00001_.flac',
  ],
  ['SaveSVGNode', { svg: ['svg', 0], filename_prefix: 's' }, 'images', 's_00001_.svg'],
  ['SaveGLB', { mesh: ['file', 0], filename_prefix: 'm' }, '3d', 'm_00001_.glb'],
])('%s writes a file and names it in its ui output', async (class_type, inputs, key, filename) => {
  await using comfy = await startWithFiles();
  const { outputs } = await run(comfy, {
    image,
    text: { class_type: 'PrimitiveString', inputs: { value: 'hello' } },
    audio: { class_type: 'EmptyAudio', inputs: { duration: 0.1, sample_rate: 8000, channels: 1 } },
    mesh: { class_type: 'SimulatedMesh', inputs: { size: 1 } },
    file: { class_type: 'MeshToFile3D', inputs: { mesh: ['mesh', 0] } },
    svg: { class_type: 'Give SVG', inputs: {} },
    save: { class_type, inputs },
  });
  expect(outputs.save![key]).toEqual([{ filename, subfolder: '', type: 'output' }]);
  const view = await fetch(`${comfy.url}/view?filename=${filename}&type=output`);
  expect(view.status).toBe(200);
  expect((await view.arrayBuffer()).byteLength).toBeGreaterThan(4);
});
