/** What a simulated sampler makes, and how it looks on the way. */

import sharp from 'sharp';
import type { ImageBatch } from '../node.ts';
import { blend } from './blending.ts';
import { openFrame } from './pixels.ts';
import { drawScene } from './scene.ts';
import { seededRandom } from './seeded-random.ts';
import type { Latent, Model } from './values.ts';

interface PictureOptions {
  readonly model: Model;
  readonly prompt: string;
  readonly seed: bigint;
  /** How much of the latent's own picture is replaced, 0 to 1. */
  readonly denoise: number;
}

/** The finished pictures, one per latent of the batch: always the same for the same options. */
export async function paint(latent: Latent, options: PictureOptions): Promise<ImageBatch> {
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

/** The scene takes over the picture's light first, and its shapes only when little of the picture is to stay. */
function overpaint(picture: ImageBatch, scenes: ImageBatch, denoise: number): ImageBatch {
  const tinted = blend(picture, scenes, { mode: 'overlay', factor: denoise });
  return blend(tinted, scenes, { mode: 'normal', factor: denoise ** 3 });
}

/** Longest side of a preview, in pixels. */
const PREVIEW_SIDE = 256;
/** Blur of the first preview, and the least that sharp can do, in pixels. */
const FIRST_BLUR = 16;
const LEAST_BLUR = 0.3;

type Previewer = (done: number) => Promise<Buffer>;

/** Makes JPEGs of the first picture as it comes out of the noise; `done` goes from 0 to 1. */
export async function startPreview(picture: ImageBatch, seed: bigint): Promise<Previewer> {
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
