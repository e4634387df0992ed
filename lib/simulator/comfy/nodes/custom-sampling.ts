/** The sampler in parts, as Flux workflows use it: noise, guider, sampler and steps are nodes of their own. */

import { schemaNode } from './define-node.ts';
import {
  choice,
  conditioning,
  float,
  guider,
  int,
  latent,
  model,
  noise,
  sampler,
  seed,
  sigmas,
} from './inputs.ts';
import { sample } from './sample.ts';
import { SAMPLERS, SCHEDULERS } from './sampler-choices.ts';

const MODULE = 'comfy_extras.nodes_custom_sampler';
const CATEGORY = 'sampling/custom_sampling';

const randomNoise = schemaNode({
  name: 'RandomNoise',
  module: MODULE,
  category: `${CATEGORY}/noise`,
  inputs: { noise_seed: seed() },
  outputs: ['NOISE'],
  run: ({ noise_seed }) => ({ outputs: [{ seed: noise_seed }] }),
});

const basicGuider = schemaNode({
  name: 'BasicGuider',
  module: MODULE,
  category: `${CATEGORY}/guiders`,
  inputs: { model: model(), conditioning: conditioning() },
  outputs: ['GUIDER'],
  run: ({ model, conditioning }) => ({ outputs: [{ model, positive: conditioning }] }),
});

const cfgGuider = schemaNode({
  name: 'CFGGuider',
  module: MODULE,
  category: `${CATEGORY}/guiders`,
  inputs: {
    model: model(),
    positive: conditioning(),
    negative: conditioning(),
    cfg: float({ default: 8, min: 0, max: 100, step: 0.1, round: 0.01 }),
  },
  outputs: ['GUIDER'],
  run: ({ model, positive }) => ({ outputs: [{ model, positive }] }),
});

const kSamplerSelect = schemaNode({
  name: 'KSamplerSelect',
  module: MODULE,
  category: `${CATEGORY}/samplers`,
  inputs: { sampler_name: choice(SAMPLERS) },
  outputs: ['SAMPLER'],
  run: ({ sampler_name: name }) => ({ outputs: [{ name }] }),
});

const basicScheduler = schemaNode({
  name: 'BasicScheduler',
  module: MODULE,
  category: `${CATEGORY}/schedulers`,
  inputs: {
    model: model(),
    scheduler: choice(SCHEDULERS),
    steps: int({ default: 20, min: 1, max: 10000 }),
    denoise: float({ default: 1, min: 0, max: 1, step: 0.01 }),
  },
  outputs: ['SIGMAS'],
  run: ({ steps, denoise }) => ({ outputs: [{ steps, denoise }] }),
});

const samplerCustomAdvanced = schemaNode({
  name: 'SamplerCustomAdvanced',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    noise: noise(),
    guider: guider(),
    sampler: sampler(),
    sigmas: sigmas(),
    latent_image: latent(),
  },
  outputs: ['LATENT', 'LATENT'],
  outputNames: ['output', 'denoised_output'],
  run: async ({ noise, guider, sigmas, latent_image }, context) => {
    const sampled = await sample(latent_image, { ...noise, ...guider, ...sigmas }, context);
    return { outputs: [sampled, sampled] };
  },
});

export const CUSTOM_SAMPLING_NODES = [
  randomNoise,
  basicGuider,
  cfgGuider,
  kSamplerSelect,
  basicScheduler,
  samplerCustomAdvanced,
];
