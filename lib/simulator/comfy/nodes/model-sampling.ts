import { classNode } from './define-node.ts';
import { float, int, model } from './inputs.ts';

const MODEL_ADVANCED = 'comfy_extras.nodes_model_advanced';

/** A shift of the noise schedule changes nothing that is simulated. */
const shift = (standard: number) => float({ default: standard, min: 0, max: 100, step: 0.01 });

const side = () => int({ default: 1024, min: 16, max: 16384, step: 8 });

const modelSamplingSd3 = classNode({
  name: 'ModelSamplingSD3',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: { model: model(), shift: shift(3) },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

const modelSamplingAuraFlow = classNode({
  name: 'ModelSamplingAuraFlow',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: { model: model(), shift: shift(1.73) },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

const modelSamplingFlux = classNode({
  name: 'ModelSamplingFlux',
  module: MODEL_ADVANCED,
  category: 'advanced/model',
  inputs: {
    model: model(),
    max_shift: shift(1.15),
    base_shift: shift(0.5),
    width: side(),
    height: side(),
  },
  outputs: ['MODEL'],
  run: ({ model }) => ({ outputs: [model] }),
});

export const MODEL_SAMPLING_NODES = [modelSamplingSd3, modelSamplingAuraFlow, modelSamplingFlux];
