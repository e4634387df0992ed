/** The inputs a node declares: how `/object_info` describes them, and how the value that arrives is read. */

import type { Mesh } from '../encoders/glb.ts';
import type { ImageBatch, NodeHost } from './node.ts';
import type {
  Audio,
  Clip,
  Conditioning,
  Guider,
  Latent,
  MaskBatch,
  Model,
  Noise,
  Sampler,
  Sigmas,
  Vae,
  Video,
} from './values.ts';

export type Options = Readonly<Record<string, unknown>>;

export interface Input<T> {
  readonly type: string;
  /** Absent and empty differ: ComfyUI's older nodes leave the second element of the description out. */
  readonly options?: Options | undefined;
  /** That the editor may upload files to choose from: `video_upload`. Told behind the choices. */
  readonly uploads?: Options;
  /** What a combo offers; asked anew each time, because files come and go. */
  readonly choices?: (host: NodeHost) => readonly string[] | Promise<readonly string[]>;
  readonly read: (value: unknown) => T;
}

/** The values of a set of declared inputs. */
export type Values<Inputs> = {
  readonly [Name in keyof Inputs]: Inputs[Name] extends Input<infer T> ? T : never;
};

const link =
  <T>(type: string) =>
  (options?: Options): Input<T> => ({ type, options, read: (value) => value as T });

export const image = link<ImageBatch>('IMAGE');
export const mask = link<MaskBatch>('MASK');
export const model = link<Model>('MODEL');
export const clip = link<Clip>('CLIP');
export const vae = link<Vae>('VAE');
export const conditioning = link<Conditioning>('CONDITIONING');
export const latent = link<Latent>('LATENT');
export const noise = link<Noise>('NOISE');
export const guider = link<Guider>('GUIDER');
export const sampler = link<Sampler>('SAMPLER');
export const sigmas = link<Sigmas>('SIGMAS');
export const video = link<Video>('VIDEO');
export const audio = link<Audio>('AUDIO');
export const mesh = link<Mesh>('MESH');
export const anything = link<unknown>('*');

export const int = (options: Options): Input<number> => ({ type: 'INT', options, read: Number });

export const float = (options: Options): Input<number> => ({
  type: 'FLOAT',
  options,
  read: Number,
});

export const boolean = (options: Options): Input<boolean> => ({
  type: 'BOOLEAN',
  options,
  read: Boolean,
});

export const text = (options: Options): Input<string> => ({
  type: 'STRING',
  options,
  read: String,
});

/** Seeds go up to 2^64-1, beyond what a number holds. */
export const seed = (): Input<bigint> => ({
  type: 'INT',
  options: { default: 0, min: 0, max: MAX_SEED, control_after_generate: true },
  read: (value) => BigInt(value as number | bigint),
});

const MAX_SEED = 2n ** 64n - 1n;

export const choice = <const Choice extends string>(
  choices: readonly Choice[],
  options?: Options,
): Input<Choice> => ({
  type: 'COMBO',
  options,
  choices: () => choices,
  read: (value) => value as Choice,
});

export const hostChoice = (
  choices: NonNullable<Input<string>['choices']>,
  options?: Options,
): Input<string> => ({ type: 'COMBO', options, choices, read: String });

/** Model files of one of ComfyUI's model folders, with further choices behind them. */
export const modelFile = (
  folder: string,
  { options, more = [] }: { readonly options?: Options; readonly more?: readonly string[] } = {},
): Input<string> => hostChoice(({ models }) => [...(models[folder] ?? []), ...more], options);

/** Files of the input folder that a node of the newer kind loads, and lets the editor upload. */
export const uploadedFile = (
  choices: NonNullable<Input<string>['choices']>,
  flag: 'video_upload' | 'audio_upload',
): Input<string> => ({ type: 'COMBO', choices, uploads: { [flag]: true }, read: String });
