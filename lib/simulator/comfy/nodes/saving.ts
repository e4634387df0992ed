/** Nodes that write files, named by ComfyUI's rules. */

import { randomInt } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { JsonText } from '../../../json.ts';
import type { ImageBatch, NodeContext, NodeResult } from '../node.ts';
import { classNode, schemaNode } from './define-node.ts';
import { boolean, choice, float, image, int, text } from './inputs.ts';
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
  hidden: HIDDEN,
  shows: true,
  run: async ({ images, filename_prefix: prefix, ...animation }, context) => {
    const { folder, subfolder, nextName } = await findOutputPlace(context.folders.output, {
      ...images,
      prefix,
    });
    const filename = `${nextName(0)}.webp`;
    await writeFile(join(folder, filename), await encodeWebp(images, animation, context));
    const item = { filename, subfolder, type: 'output' };
    return { ui: { images: [item], ...(images.frames.length > 1 ? { animated: [true] } : {}) } };
  },
});

interface Animation {
  readonly fps: number;
  readonly lossless: boolean;
  readonly quality: number;
  readonly method: keyof typeof EFFORTS;
}

/** libwebp's own scale for the menu's words. */
const EFFORTS = { default: 4, fastest: 0, slowest: 6 } as const;

/** The frames lie below each other in one tall picture, which is how sharp takes an animation. */
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

/** ComfyUI puts the prompt into `Model` and the workflow into `Make`. */
function exifTags(metadata: ReturnType<typeof describeOrigin>): Record<string, string> {
  const tags: Record<string, string> = { prompt: 'Model', workflow: 'Make', Software: 'Software' };
  const entries = metadata.flatMap(([name, text]) => {
    const tag = tags[name];
    if (tag === undefined) return [];
    return [[tag, tag === name ? text : `${name}:${text}`] as const];
  });
  return Object.fromEntries(entries);
}

/** Where a file comes from: that it is simulated, its graph, and whatever the caller sent as `extra_pnginfo`. */
function describeOrigin({ prompt, extraPnginfo }: NodeContext): [name: string, text: string][] {
  const graph: [string, unknown][] = prompt === undefined ? [] : [['prompt', prompt]];
  const entries = [...graph, ...entriesOf(extraPnginfo)];
  return [
    ['Software', 'comfyui-worker simulator: no model was run'],
    ...entries.map(([name, value]): [string, string] => [name, jsonOf(value)]),
  ];
}

function entriesOf(value: unknown): [string, unknown][] {
  if (value instanceof JsonText) return value.entries();
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function jsonOf(value: unknown): string {
  return value instanceof JsonText ? value.text : JSON.stringify(value);
}

function randomLetters(count: number): string {
  return Array.from({ length: count }, () => 'abcdefghijklmnopqrstuvwxyz'[randomInt(26)]).join('');
}

export const SAVING_NODES = [saveImage, previewImage, saveAnimatedWebp];
