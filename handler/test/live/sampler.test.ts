import { expect } from '@jest/globals';
import { openLiveComfy } from '../rigs/live-rig.ts';

/** A picture from a real checkpoint, if the ComfyUI has one. */

const live = await openLiveComfy();

live.test(
  'a checkpoint makes a picture, and its steps are posted as progress',
  async () => {
    await using rig = await live.startRig({ PROGRESS_INTERVAL_MS: '50' });
    const text = (prompt: string) => ({
      class_type: 'CLIPTextEncode',
      inputs: { text: prompt, clip: ['4', 1] },
    });
    const workflow = {
      '3': {
        class_type: 'KSampler',
        inputs: {
          ...{ model: ['4', 0], positive: ['6', 0], negative: ['7', 0], latent_image: ['5', 0] },
          ...{ seed: Date.now(), steps: 2, cfg: 7, denoise: 1 },
          ...{ sampler_name: 'euler', scheduler: 'normal' },
        },
        _meta: { title: 'The sampler' },
      },
      '4': { class_type: 'CheckpointLoaderSimple', inputs: { ckpt_name: live.checkpoint } },
      '5': { class_type: 'EmptyLatentImage', inputs: { width: 64, height: 64, batch_size: 1 } },
      '6': text('a paper boat'),
      '7': text('blurred'),
      '8': { class_type: 'VAEDecode', inputs: { samples: ['3', 0], vae: ['4', 2] } },
      '9': { class_type: 'SaveImage', inputs: { images: ['8', 0], filename_prefix: 'sampled' } },
    };
    const jobId = rig.platform.submit({ workflow, output: { details: true } });
    const { error, output } = await rig.posted(jobId);
    expect(error).toBeUndefined();
    expect(output?.images).toMatchObject([{ width: 64, height: 64, type: 'base64' }]);
    const told = (rig.platform.job(jobId)?.posts ?? []).map(({ bodyText }) => bodyText).join('\n');
    expect(told).toContain('"nodeTitle":"The sampler"');
    expect(told).toContain('"steps":2');
  },
  { checkpoint: true },
);
