import { classNode, schemaNode } from '../define-node.ts';
import {
  choice,
  conditioning,
  float,
  int,
  latent,
  model,
  seed,
  guider,
  noise,
  sampler,
  sigmas,
} from '../inputs.ts';
import { sample } from '../drawing/sample.ts';

/** The samplers and schedulers of ComfyUI 0.8.0. They all do the same here. */
const SAMPLERS = [
  'euler',
  'euler_cfg_pp',
  'euler_ancestral',
  'euler_ancestral_cfg_pp',
  'heun',
  'heunpp2',
  'exp_heun_2_x0',
  'exp_heun_2_x0_sde',
  'dpm_2',
  'dpm_2_ancestral',
  'lms',
  'dpm_fast',
  'dpm_adaptive',
  'dpmpp_2s_ancestral',
  'dpmpp_2s_ancestral_cfg_pp',
  'dpmpp_sde',
  'dpmpp_sde_gpu',
  'dpmpp_2m',
  'dpmpp_2m_cfg_pp',
  'dpmpp_2m_sde',
  'dpmpp_2m_sde_gpu',
  'dpmpp_2m_sde_heun',
  'dpmpp_2m_sde_heun_gpu',
  'dpmpp_3m_sde',
  'dpmpp_3m_sde_gpu',
  'ddpm',
  'lcm',
  'ipndm',
  'ipndm_v',
  'deis',
  'res_multistep',
  'res_multistep_cfg_pp',
  'res_multistep_ancestral',
  'res_multistep_ancestral_cfg_pp',
  'gradient_estimation',
  'gradient_estimation_cfg_pp',
  'er_sde',
  'seeds_2',
  'seeds_3',
  'sa_solver',
  'sa_solver_pece',
  'ddim',
  'uni_pc',
  'uni_pc_bh2',
] as const;

const SCHEDULERS = [
  'simple',
  'sgm_uniform',
  'karras',
  'exponential',
  'ddim_uniform',
  'beta',
  'normal',
  'linear_quadratic',
  'kl_optimal',
] as const;

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

/** A range of the steps replaces a proportional part of the picture. */
function stepsOfRange({ steps, start_at_step: start, end_at_step: end }: StepRange) {
  const part = Math.max(0, Math.min(end, steps) - start);
  return { steps: part, denoise: part / steps };
}

export const SAMPLING_NODES = [kSampler, kSamplerAdvanced];

// Separate nodes for noise, guider, sampler and steps, as Flux workflows use them.

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
