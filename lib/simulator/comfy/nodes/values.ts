/** Values that links carry, beside {@link ImageBatch}: one plain object per ComfyUI type. */

import type { Sound } from '../encoders/flac.ts';
import type { ImageBatch } from './node.ts';

/** One byte per pixel, 255 where the mask is 1.0. */
export interface MaskBatch {
  readonly width: number;
  readonly height: number;
  readonly frames: readonly Uint8Array[];
}

export interface Model {
  /** File name. It influences the simulated picture and is shown in the caption. */
  readonly name: string;
  readonly loras?: readonly string[];
}

export interface Clip {
  readonly name: string;
}

export interface Vae {
  readonly name: string;
}

/** A simulated sampler uses only the text. Empty after ConditioningZeroOut. */
export interface Conditioning {
  readonly text: string;
}

/**
 * Sizes are in pixels of the decoded picture. A simulated latent contains that picture (none if it is empty) and the
 * caption that decoding draws into it.
 */
export interface Latent {
  readonly width: number;
  readonly height: number;
  readonly batchSize: number;
  /** Values per grain, as the model family has them. Default 4. */
  readonly channels?: number;
  readonly picture?: ImageBatch;
  readonly caption?: readonly string[];
}

export interface Noise {
  readonly seed: bigint;
}

/** The number of steps, and the part of the input they replace (1 = all of it). */
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

/** A loaded file is passed on as its path, so that large files are never read. */
export type Video =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'frames';
      readonly images: ImageBatch;
      readonly fps: number;
      readonly audio?: Audio;
    };

export type Audio =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'sound'; readonly sound: Sound };

/** A 3D model, a point cloud or a splat, as a file in memory. `format` is its extension. */
export interface File3d {
  readonly format: string;
  readonly bytes: Uint8Array;
}

/** SVG documents, one per picture. */
export interface Svg {
  readonly documents: readonly string[];
}
