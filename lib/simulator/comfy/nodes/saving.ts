/** Nodes that write PNGs. */

import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageBatch, NodeContext, NodeResult } from '../node.ts';
import { classNode } from './define-node.ts';
import { image, text } from './inputs.ts';
import { describeOrigin } from './origin.ts';
import { findOutputPlace } from './output-names.ts';
import { openFrame } from './pixels.ts';
import { withPngText } from './png-text.ts';

const HIDDEN = ['prompt', 'extra_pnginfo'];

const saveImage = classNode({
  name: 'SaveImage',
  title: 'Save Image',
  module: 'nodes',
  category: 'image',
  inputs: { images: image({}), filename_prefix: text({ default: 'ComfyUI' }) },
  hidden: HIDDEN,
  shows: true,
  run: ({ images, filename_prefix: prefix }, context) =>
    savePngs(images, context, { type: 'output', prefix, compressionLevel: 4 }),
});

const previewImage = classNode({
  name: 'PreviewImage',
  title: 'Preview Image',
  module: 'nodes',
  category: 'image',
  inputs: { images: image() },
  hidden: HIDDEN,
  shows: true,
  run: ({ images }, context) =>
    savePngs(images, context, {
      type: 'temp',
      prefix: `ComfyUI_temp_${randomLetters(5)}`,
      compressionLevel: 1,
    }),
});

interface PngOptions {
  readonly type: 'output' | 'temp';
  readonly prefix: string;
  readonly compressionLevel: number;
}

async function savePngs(
  images: ImageBatch,
  context: NodeContext,
  { type, prefix, compressionLevel }: PngOptions,
): Promise<NodeResult> {
  const { folder, subfolder, nextName } = await findOutputPlace(context.folders[type], {
    ...images,
    prefix,
  });
  const metadata = describeOrigin(context);
  const items = images.frames.map(async (frame, at) => {
    const filename = `${nextName(at)}.png`;
    const png = await openFrame(images, frame).png({ compressionLevel }).toBuffer();
    await writeFile(join(folder, filename), withPngText(png, metadata));
    return { filename, subfolder, type };
  });
  return { ui: { images: await Promise.all(items) } };
}

/** For names of temporary files. */
export function randomLetters(count: number): string {
  return Array.from({ length: count }, () => 'abcdefghijklmnopqrstuvwxyz'[randomInt(26)]).join('');
}

export const SAVING_NODES = [saveImage, previewImage];
