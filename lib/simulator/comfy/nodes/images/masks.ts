import { schemaNode } from '../define-node.ts';
import { choice, image, mask } from '../inputs.ts';
import { maskToImage, plainImage, takeChannel } from './pixels.ts';
import type { ImageBatch } from '../node.ts';
import type { MaskBatch } from '../values.ts';

const MODULE = 'comfy_extras.nodes_mask';

/** The index of each channel within a pixel, in the order of ComfyUI's menus. */
const CHANNELS = { red: 0, green: 1, blue: 2, alpha: 3 } as const;
export type Channel = keyof typeof CHANNELS;

/** A channel as a mask. An image without alpha counts as opaque. */
export function channelOf(image: ImageBatch, channel: Channel): MaskBatch {
  if (CHANNELS[channel] < image.channels) return takeChannel(image, CHANNELS[channel]);
  return takeChannel(plainImage(image.width, image.height, 0xffffff), 0);
}

const maskToImageNode = schemaNode({
  name: 'MaskToImage',
  title: 'Convert Mask to Image',
  module: MODULE,
  category: 'mask',
  inputs: { mask: mask() },
  outputs: ['IMAGE'],
  run: ({ mask }) => ({ outputs: [maskToImage(mask)] }),
});

const imageToMask = schemaNode({
  name: 'ImageToMask',
  title: 'Convert Image to Mask',
  module: MODULE,
  category: 'mask',
  inputs: { image: image(), channel: choice(['red', 'green', 'blue', 'alpha']) },
  outputs: ['MASK'],
  run: ({ image, channel }) => ({ outputs: [channelOf(image, channel)] }),
});

export const MASK_NODES = [maskToImageNode, imageToMask];
