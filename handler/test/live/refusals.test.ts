import { expect } from '@jest/globals';
import { checkpointsOf, newColour, openLiveComfy } from '../rigs/live-rig.ts';
import { pictures } from '../rigs/test-rig.ts';

/** Workflows that ComfyUI refuses, accepts in part, or fails at: against any ComfyUI. */

const live = await openLiveComfy();

live.test(
  'a model that is not there is named in the text clients know, with those that are',
  async () => {
    await using rig = await live.startRig();
    const { error = '' } = await rig.run({
      workflow: {
        '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: 'nope.safetensors' } },
        '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
        '8': { class_type: 'VAEDecode', inputs: { samples: ['5', 0], vae: ['4', 2] } },
        '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'x' } },
      },
    });
    expect(error).toMatch(
      /^Workflow validation failed:\n• Node 4 \(CheckpointLoaderSimple\): ckpt_name "nope\.safetensors"/,
    );
    const listed = /\n\nAvailable checkpoint models: (.*)$/.exec(error)?.[1];
    const installed = checkpointsOf(live.objectInfo);
    if (installed.length > 0) expect(listed?.split(', ')).toEqual(installed);
    else expect(error).toMatch(/\n\nNo checkpoint models appear to be available\. [^\n]*$/);
    expect(error).not.toMatch(/Traceback|None\b/);
  },
);

live.test(
  'a class that is not installed is refused, with the text clients know and every such node',
  async () => {
    const workflow = {
      ...pictures(),
      '5': { class_type: 'NobodyHasThisClass', inputs: {} },
      '6': { class_type: 'SaveImag', inputs: {} },
    };
    await using rig = await live.startRig();
    const { error } = await rig.run({ workflow });
    expect(error).toMatch(
      /^Cannot execute because node NobodyHasThisClass does not exist:\n• Node 5/,
    );
    expect(error).toMatch(/\n• Node 6 .*SaveImage/);
    await using unchecked = await live.startRig({ PREFLIGHT: 'off' });
    expect((await unchecked.run({ workflow })).error).toMatch(/NobodyHasThisClass|SaveImag/);
  },
);

/** ComfyUI lists the problems of a node in an order that changes with each start. */
const rows = [
  ['a workflow without outputs', { '1': pictures()['1'] }, /^Prompt has no outputs/],
  ['an empty workflow', {}, /^Prompt has no outputs/],
  [
    'a value out of range',
    pictures({ size: 0 }),
    /^Workflow validation failed:\n(?:• .*\n)?• Node 1 \(EmptyImage\): width 0 is below the minimum/,
  ],
  [
    'a required input that is missing',
    { '2': { class_type: 'SaveImage', inputs: { filename_prefix: 'x' } } },
    /^Workflow validation failed:\n• Node 2 \(SaveImage\): .*images/,
  ],
  [
    'a choice that does not exist',
    {
      ...pictures(),
      '3': {
        class_type: 'ImageScale',
        inputs: {
          ...{ image: ['1', 0], upscale_method: 'magic', width: 8, height: 8, crop: 'disabled' },
        },
      },
      '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
    },
    /^Workflow validation failed:\n• Node 3 \(ImageScale\): upscale_method "magic".*lanczos/s,
  ],
  [
    'a link of another type',
    {
      ...pictures(),
      '3': { class_type: 'VAEDecode', inputs: { samples: ['1', 0], vae: ['1', 0] } },
      '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'x' } },
    },
    /^Workflow validation failed:\n• Node 3 \(VAEDecode\): .*IMAGE.*LATENT|LATENT.*IMAGE/s,
  ],
] as const;
for (const PREFLIGHT of ['auto', 'off']) {
  for (const [what, workflow, text] of rows) {
    live.test(`${what} is refused in the text clients know (PREFLIGHT=${PREFLIGHT})`, async () => {
      await using rig = await live.startRig({ PREFLIGHT });
      const { error } = await rig.run({ workflow });
      expect(error).toMatch(text);
      expect(rig.relay.prompts).toEqual([]);
    });
  }
}

/** Saves to a place that ComfyUI refuses when the node runs; before that it saves an image if `keeps`. */
function raising({ keeps }: { readonly keeps: boolean }) {
  const { '1': image, '2': saver } = pictures({ color: newColour() });
  const inputs = { image: ['1', 0], upscale_method: 'area', width: 8, height: 8, crop: 'disabled' };
  return {
    '1': image,
    ...(keeps && { '2': saver }),
    '3': { class_type: 'ImageScale', inputs },
    '4': {
      class_type: 'SaveImage',
      inputs: { images: ['3', 0], filename_prefix: '../../../escaped' },
    },
  };
}

/** Without the folder that ComfyUI names in its own message. */
const RAISED = expect.stringMatching(
  /^Workflow execution error: Node Type: SaveImage, Node ID: 4, Message: (?!.*(?:\/\w+\/|[A-Z]:\\)).*outside the output folder/s,
);

live.test(
  'a workflow that ComfyUI accepts in part: errors say which part did not run',
  async () => {
    await using rig = await live.startRig();
    const workflow = {
      ...pictures(),
      '9': { class_type: 'SaveImage', inputs: { filename_prefix: 'none' } },
    };
    const { output } = await rig.run({ workflow });
    expect(output?.images).toHaveLength(1);
    expect(output?.errors?.join()).toMatch(/Node 9 .*SaveImage.*images/);
    const strict = await rig.run({ workflow, output: { strict: true } });
    expect(strict.error).toMatch(/only a part of the workflow/);
    expect(strict.output?.images).toBeUndefined();
  },
);

live.test('a node that raises fails the job, with the text clients know', async () => {
  await using rig = await live.startRig();
  const posted = await rig.run({ workflow: raising({ keeps: false }) });
  expect(posted).toEqual({
    error: 'Job processing failed',
    output: {
      details: [RAISED],
      failure: expect.objectContaining({ code: 'comfy.execution_failed' }),
    },
  });
});

live.test(
  'a node that raises after another one has saved: the image and the error are returned',
  async () => {
    await using rig = await live.startRig();
    const { error, output } = await rig.run({ workflow: raising({ keeps: true }) });
    expect(error).toBeUndefined();
    expect(output?.images).toHaveLength(1);
    expect(output?.errors).toEqual([RAISED]);
  },
);
