/** Input declarations: their description in `/object_info`, and how a received value is read. */

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
  /** Absent and empty differ: some of ComfyUI's nodes have no second element in the description. */
  readonly options?: Options | undefined;
  /** Flags that let the editor upload files: `video_upload`. They follow the choices in the description. */
  readonly uploads?: Options;
  /** The choices of a combo, evaluated each time, because files change. */
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

/** Seeds go up to 2^64-1, too large for a number. */
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

/** Model files of one of ComfyUI's model folders, followed by the choices in `more`. */
export const modelFile = (
  folder: string,
  { options, more = [] }: { readonly options?: Options; readonly more?: readonly string[] } = {},
): Input<string> => hostChoice(({ models }) => [...(models[folder] ?? []), ...more], options);

/** A file of the input folder, for nodes with the newer schema; the editor can upload it. */
export const uploadedFile = (
  choices: NonNullable<Input<string>['choices']>,
  flag: 'video_upload' | 'audio_upload',
): Input<string> => ({ type: 'COMBO', choices, uploads: { [flag]: true }, read: String });
