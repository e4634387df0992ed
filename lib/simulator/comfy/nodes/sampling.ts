/** The samplers that take everything at once. */

import { classNode } from './define-node.ts';
import { choice, conditioning, float, int, latent, model, seed } from './inputs.ts';
import { sample } from './sample.ts';
import { SAMPLERS, SCHEDULERS } from './sampler-choices.ts';

const steps = () => int({ default: 20, min: 1, max: 10000 });
const cfg = () => float({ default: 8, min: 0, max: 100, step: 0.1, round: 0.01 });

const kSampler = classNode({
  name: 'KSampler',
  module: 'nodes',
  category: 'sampling',
  inputs: {
    model: model({}),
    seed: seed(),
    steps: steps(),
    cfg: cfg(),
    sampler_name: choice(SAMPLERS, {}),
    scheduler: choice(SCHEDULERS, {}),
    positive: conditioning({}),
    negative: conditioning({}),
    latent_image: latent({}),
    denoise: float({ default: 1, min: 0, max: 1, step: 0.01 }),
  },
  outputs: ['LATENT'],
  run: async ({ latent_image, ...options }, context) => ({
    outputs: [await sample(latent_image, options, context)],
  }),
});

const kSamplerAdvanced = classNode({
  name: 'KSamplerAdvanced',
  title: 'KSampler (Advanced)',
  module: 'nodes',
  category: 'sampling',
  inputs: {
    model: model(),
    add_noise: choice(['enable', 'disable']),
    noise_seed: seed(),
    steps: steps(),
    cfg: cfg(),
    sampler_name: choice(SAMPLERS),
    scheduler: choice(SCHEDULERS),
    positive: conditioning(),
    negative: conditioning(),
    latent_image: latent(),
    start_at_step: int({ default: 0, min: 0, max: 10000 }),
    end_at_step: int({ default: 10000, min: 0, max: 10000 }),
    return_with_leftover_noise: choice(['disable', 'enable']),
  },
  outputs: ['LATENT'],
  run: async ({ model, positive, noise_seed, latent_image, ...range }, context) => {
    const part = stepsOfRange(range);
    const options = { model, positive, seed: noise_seed, ...part };
    return { outputs: [await sample(latent_image, options, context)] };
  },
});

interface StepRange {
  readonly steps: number;
  readonly start_at_step: number;
  readonly end_at_step: number;
}

/** A part of the steps replaces as large a part of the picture. */
function stepsOfRange({ steps, start_at_step: start, end_at_step: end }: StepRange) {
  const part = Math.max(0, Math.min(end, steps) - start);
  return { steps: part, denoise: part / steps };
}

export const SAMPLING_NODES = [kSampler, kSamplerAdvanced];
