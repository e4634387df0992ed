import { basename, extname } from 'node:path';
import sharp from 'sharp';
import type { ImageBatch, NodeContext } from '../node.ts';
import type { Conditioning, Latent, Model, Sigmas } from '../values.ts';
import { blend } from '../images/blending.ts';
import { openFrame } from '../images/pixels.ts';
import { drawScene, seededRandom } from './scene.ts';

/** Duration of a step at speed 1. */
const STEP_MS = 60;

export interface SampleOptions extends Sigmas {
  readonly model: Model;
  readonly positive: Conditioning;
  readonly seed: bigint;
}

/** Runs the steps of a simulated sampler, with a preview at each. Rejects when the prompt is interrupted. */
export async function sample(
  latent: Latent,
  { model, positive, seed, steps, denoise }: SampleOptions,
  context: NodeContext,
): Promise<Latent> {
  if (steps === 0 || denoise === 0) return latent;
  const picture = await paint(latent, { model, prompt: positive.text, seed, denoise });
  const preview = await startPreview(picture, seed);
  for (let step = 1; step <= steps; step++) {
    await context.work(STEP_MS);
    await context.progress(step, steps, await preview(step / steps));
  }
  return { ...latent, picture, caption: captionOf(model, seed) };
}

function captionOf({ name }: Model, seed: bigint): string[] {
  return ['SIMULATED: NO MODEL WAS RUN', `${basename(name, extname(name))}  seed ${String(seed)}`];
}

/** What a simulated sampler makes, and how it looks on the way. */

interface PictureOptions {
  readonly model: Model;
  readonly prompt: string;
  readonly seed: bigint;
  /** How much of the latent's own picture is replaced, 0 to 1. */
  readonly denoise: number;
}

/** The finished pictures, one per latent of the batch. The same options always give the same pictures. */
async function paint(latent: Latent, options: PictureOptions): Promise<ImageBatch> {
  const places = Array.from({ length: latent.batchSize }, (_, place) => place);
  const frames = await Promise.all(places.map((place) => paintScene(latent, place, options)));
  const scenes: ImageBatch = { width: latent.width, height: latent.height, channels: 3, frames };
  return latent.picture ? overpaint(latent.picture, scenes, options.denoise) : scenes;
}

function paintScene(
  { width, height }: Latent,
  place: number,
  { model, prompt, seed }: PictureOptions,
): Promise<Buffer> {
  const parts = [seed, place, model.name, ...(model.loras ?? [])];
  const svg = drawScene({ width, height, prompt, parts });
  return sharp(Buffer.from(svg)).removeAlpha().raw().toBuffer();
}

/** With a low denoise the scene changes only the picture's brightness; with a high one it also replaces its shapes. */
function overpaint(picture: ImageBatch, scenes: ImageBatch, denoise: number): ImageBatch {
  const tinted = blend(picture, scenes, { mode: 'overlay', factor: denoise });
  return blend(tinted, scenes, { mode: 'normal', factor: denoise ** 3 });
}

/** Longest side of a preview, in pixels. */
const PREVIEW_SIDE = 256;
/** Blur of the first preview, and sharp's minimum, in pixels. */
const FIRST_BLUR = 16;
const LEAST_BLUR = 0.3;

type Previewer = (done: number) => Promise<Buffer>;

/** Renders JPEG previews of the first picture with decreasing noise; `done` goes from 0 to 1. */
async function startPreview(picture: ImageBatch, seed: bigint): Promise<Previewer> {
  const [first = new Uint8Array()] = picture.frames;
  const { data, info } = await openFrame(picture, first)
    .resize(PREVIEW_SIDE, PREVIEW_SIDE, { fit: 'inside', withoutEnlargement: true })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { width: info.width, height: info.height, channels: info.channels };
  const random = seededRandom('noise', seed);
  const noise = Uint8Array.from({ length: data.length }, () => random() * 256);
  return async (done) => {
    const blur = FIRST_BLUR * (1 - done);
    const shown = blur < LEAST_BLUR ? data : await sharp(data, { raw }).blur(blur).raw().toBuffer();
    const share = (1 - done) ** 1.5;
    const mixed = shown.map((value, at) => value + ((noise[at] ?? 0) - value) * share);
    return sharp(mixed, { raw }).jpeg({ quality: 80 }).toBuffer();
  };
}
