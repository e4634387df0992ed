/** What travels along the links of a graph, beside {@link ImageBatch}: one plain object per ComfyUI type. */

import type { Sound } from '../encoders/flac.ts';
import type { ImageBatch } from './node.ts';

/** One byte per pixel, 255 where the mask is 1.0. */
export interface MaskBatch {
  readonly width: number;
  readonly height: number;
  readonly frames: readonly Uint8Array[];
}

export interface Model {
  /** File name: it is part of what the picture is made from, and told in the caption. */
  readonly name: string;
  readonly loras?: readonly string[];
}

export interface Clip {
  readonly name: string;
}

export interface Vae {
  readonly name: string;
}

/** The text is all a simulated sampler knows of a prompt; empty when it was zeroed out. */
export interface Conditioning {
  readonly text: string;
}

/**
 * Sizes are those of the decoded picture. A latent here holds that picture itself, or none when it is empty, and the
 * caption that decoding draws into it.
 */
export interface Latent {
  readonly width: number;
  readonly height: number;
  readonly batchSize: number;
  readonly picture?: ImageBatch;
  readonly caption?: readonly string[];
}

export interface Noise {
  readonly seed: bigint;
}

/** How many steps are left to do, and how much of the input they replace (1 = all of it). */
export interface Sigmas {
  readonly steps: number;
  readonly denoise: number;
}

export interface Sampler {
  readonly name: string;
}

export interface Guider {
  readonly model: Model;
  readonly positive: Conditioning;
}

/** A file goes from node to node as its path, so that one of hundreds of megabytes is never read. */
export type Video =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'frames'; readonly images: ImageBatch; readonly fps: number };

export type Audio =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'sound'; readonly sound: Sound };
