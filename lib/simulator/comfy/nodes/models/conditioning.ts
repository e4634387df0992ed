/** Text prompts. The text is passed on and influences the simulated picture. */

import { classNode, schemaNode } from '../define-node.ts';
import { clip, conditioning, float, int, text } from '../inputs.ts';

const clipTextEncode = classNode({
  name: 'CLIPTextEncode',
  title: 'CLIP Text Encode (Prompt)',
  module: 'nodes',
  category: 'conditioning',
  inputs: { text: text({ multiline: true, dynamicPrompts: true }), clip: clip({}) },
  outputs: ['CONDITIONING'],
  run: ({ text }) => ({ outputs: [{ text }] }),
});

const clipSetLastLayer = classNode({
  name: 'CLIPSetLastLayer',
  title: 'CLIP Set Last Layer',
  module: 'nodes',
  category: 'conditioning',
  inputs: {
    clip: clip(),
    stop_at_clip_layer: int({ default: -1, min: -24, max: -1, step: 1 }),
  },
  outputs: ['CLIP'],
  run: ({ clip }) => ({ outputs: [clip] }),
});

const conditioningZeroOut = classNode({
  name: 'ConditioningZeroOut',
  module: 'nodes',
  category: 'advanced/conditioning',
  inputs: { conditioning: conditioning() },
  outputs: ['CONDITIONING'],
  run: () => ({ outputs: [{ text: '' }] }),
});

const guidance = () => float({ default: 3.5, min: 0, max: 100, step: 0.1 });

const fluxGuidance = schemaNode({
  name: 'FluxGuidance',
  module: 'comfy_extras.nodes_flux',
  category: 'advanced/conditioning/flux',
  inputs: { conditioning: conditioning(), guidance: guidance() },
  outputs: ['CONDITIONING'],
  run: ({ conditioning }) => ({ outputs: [conditioning] }),
});

const clipTextEncodeFlux = schemaNode({
  name: 'CLIPTextEncodeFlux',
  module: 'comfy_extras.nodes_flux',
  category: 'advanced/conditioning/flux',
  inputs: {
    clip: clip(),
    clip_l: text({ multiline: true, dynamicPrompts: true }),
    t5xxl: text({ multiline: true, dynamicPrompts: true }),
    guidance: guidance(),
  },
  outputs: ['CONDITIONING'],
  run: ({ clip_l, t5xxl }) => ({ outputs: [{ text: `${clip_l}\n${t5xxl}` }] }),
});

export const CONDITIONING_NODES = [
  clipTextEncode,
  clipSetLastLayer,
  conditioningZeroOut,
  fluxGuidance,
  clipTextEncodeFlux,
];
