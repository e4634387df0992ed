/** Nodes that write PNG, animated PNG and animated WebP files. */

import { randomInt, randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import type { ImageBatch, NodeContext, NodeResult } from '../node.ts';
import { classNode, schemaNode } from '../define-node.ts';
import { image, text, boolean, choice, float, int } from '../inputs.ts';
import { describeOrigin, findOutputPlace, withPngText, type OutputPlace } from '../output-files.ts';
import { openFrame } from './pixels.ts';
import { encodeApng } from '../../encoders/apng.ts';

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

/** Writes every frame as a PNG with the workflow inside. */
export async function savePngs(
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

/** Random letters for names of temporary files. */
export function randomLetters(count: number): string {
  return Array.from({ length: count }, () => 'abcdefghijklmnopqrstuvwxyz'[randomInt(26)]).join('');
}

/** Sends its images through the websocket and saves none (`custom_nodes/websocket_image_save.py`). Never cached. */
const saveImageWebsocket = classNode({
  name: 'SaveImageWebsocket',
  title: 'Save Image (Websocket)',
  module: 'custom_nodes.websocket_image_save',
  category: 'image',
  inputs: { images: image() },
  shows: true,
  run: async ({ images }, context) => {
    const { length } = images.frames;
    for (const [step, frame] of images.frames.entries())
      await context.progress(step, length, await openFrame(images, frame).png().toBuffer());
    return {};
  },
  fingerprint: () => randomUUID(),
});

export const SAVING_NODES = [saveImage, previewImage, saveImageWebsocket];

const saveAnimatedWebp = schemaNode({
  name: 'SaveAnimatedWEBP',
  module: 'comfy_extras.nodes_images',
  category: 'image/animation',
  inputs: {
    images: image(),
    filename_prefix: text({ default: 'ComfyUI', multiline: false }),
    fps: float({ default: 6, min: 0.01, max: 1000, step: 0.01 }),
    lossless: boolean({ default: true }),
    quality: int({ default: 80, min: 0, max: 100 }),
    method: choice(['default', 'fastest', 'slowest']),
  },
  hidden: ['prompt', 'extra_pnginfo'],
  shows: true,
  run: async ({ images, filename_prefix: prefix, ...animation }, context) => {
    const place = await findOutputPlace(context.folders.output, { ...images, prefix });
    const webp = await encodeWebp(images, animation, context);
    return { ui: await showAnimation(images, place, { bytes: webp, extension: 'webp' }) };
  },
});

const saveAnimatedPng = schemaNode({
  name: 'SaveAnimatedPNG',
  module: 'comfy_extras.nodes_images',
  category: 'image/animation',
  inputs: {
    images: image(),
    filename_prefix: text({ default: 'ComfyUI', multiline: false }),
    fps: float({ default: 6, min: 0.01, max: 1000, step: 0.01 }),
    compress_level: int({ default: 4, min: 0, max: 9 }),
  },
  hidden: ['prompt', 'extra_pnginfo'],
  shows: true,
  run: async ({ images, filename_prefix: prefix, fps, compress_level }, context) => {
    const place = await findOutputPlace(context.folders.output, { ...images, prefix });
    const options = { compressionLevel: compress_level };
    const pngs = images.frames.map((frame) => openFrame(images, frame).png(options).toBuffer());
    const apng = withPngText(encodeApng(await Promise.all(pngs), fps), describeOrigin(context));
    return { ui: await showAnimation(images, place, { bytes: apng, extension: 'png' }) };
  },
});

async function showAnimation(
  { frames }: ImageBatch,
  { folder, subfolder, nextName }: OutputPlace,
  { bytes, extension }: { readonly bytes: Buffer; readonly extension: string },
): Promise<NonNullable<NodeResult['ui']>> {
  const filename = `${nextName(0)}.${extension}`;
  await writeFile(join(folder, filename), bytes);
  const item = { filename, subfolder, type: 'output' };
  return { images: [item], ...(frames.length > 1 ? { animated: [true] } : {}) };
}

interface Animation {
  readonly fps: number;
  readonly lossless: boolean;
  readonly quality: number;
  readonly method: keyof typeof EFFORTS;
}

/** libwebp's compression effort for the node's choices. */
const EFFORTS = { default: 4, fastest: 0, slowest: 6 } as const;

/** sharp reads an animation as one tall image with the frames below each other. */
function encodeWebp(
  { width, height, channels, frames }: ImageBatch,
  { fps, lossless, quality, method }: Animation,
  context: NodeContext,
): Promise<Buffer> {
  const raw = { width, height: height * frames.length, channels, pageHeight: height };
  return sharp(Buffer.concat(frames), { raw })
    .webp({
      lossless,
      quality: Math.max(1, quality),
      effort: EFFORTS[method],
      delay: frames.map(() => Math.round(1000 / fps)),
      loop: 0,
    })
    .withExif({ IFD0: exifTags(describeOrigin(context)) })
    .toBuffer();
}

/** ComfyUI writes the prompt into the EXIF field `Model` and the workflow into `Make`. */
function exifTags(metadata: ReturnType<typeof describeOrigin>): Record<string, string> {
  const tags: Record<string, string> = { prompt: 'Model', workflow: 'Make', Software: 'Software' };
  const entries = metadata.flatMap(([name, text]) => {
    const tag = tags[name];
    if (tag === undefined) return [];
    return [[tag, tag === name ? text : `${name}:${text}`] as const];
  });
  return Object.fromEntries(entries);
}

export const ANIMATION_NODES = [saveAnimatedWebp, saveAnimatedPng];
