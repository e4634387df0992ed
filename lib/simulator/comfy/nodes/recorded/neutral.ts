/**
 * Values for outputs whose class has no behaviour here: the input that corresponds to the output, else a neutral value of its
 * type. Pictures carry a caption, texts and other values say that they are simulated.
 */

import { encodeGlb, type Mesh } from '../../encoders/glb.ts';
import { drawCaption } from '../drawing/caption.ts';
import { plainImage, repeated } from '../images/pixels.ts';
import { decodeLatent } from '../models/latents.ts';
import { cube } from '../media/meshes.ts';
import type { ImageBatch } from '../node.ts';
import type { NodeInfo } from '../node-info.ts';
import type { Size } from '../images/scaling.ts';
import type { Audio, Latent, MaskBatch } from '../values.ts';

type Values = Readonly<Record<string, unknown>>;

/** An input of a running node: its declared type and its value. */
export interface TypedInput {
  readonly name: string;
  readonly type: unknown;
  readonly value: unknown;
}

/** A value for the output at `slot`. */
export function neutralOutput(
  info: NodeInfo,
  slot: number,
  inputs: readonly TypedInput[],
): unknown {
  const type = info.output[slot];
  const given = inputs.filter(({ value }) => value !== undefined && value !== null);
  const fitting = given.filter((input) => passesAs(input, type));
  const same = fitting.find(({ name }) => name === info.output_name[slot]) ?? fitting[0];
  if (same) return same.value;
  return neutralValue(
    type,
    info.name,
    Object.fromEntries(given.map(({ name, value }) => [name, value])),
  );
}

/** Whether an input's value may leave through an output of this type. Literals of texts and numbers are settings. */
function passesAs({ type, value }: TypedInput, output: unknown): boolean {
  if (type === output) return true;
  if (typeof type !== 'string' || typeof output !== 'string') return false;
  return typeof value === 'object' && type.split(',').includes(output);
}

/** @param values the node's inputs, from which sizes, lengths, texts and names are taken. */
export function neutralValue(type: unknown, className: string, values: Values): unknown {
  switch (type) {
    case 'IMAGE':
      return neutralImage(className, values);
    case 'MASK':
      return neutralMask(values);
    case 'LATENT':
      return neutralLatent(className, values);
    case 'MODEL':
    case 'CLIP':
    case 'VAE':
    case 'SAMPLER':
      return { name: modelName(values) ?? className };
    case 'CONDITIONING':
      return { text: promptOf(values) };
    case 'NOISE':
      return { seed: BigInt(Math.trunc(numberOf(values, ['noise_seed', 'seed']) ?? 0)) };
    case 'SIGMAS':
      return {
        steps: numberOf(values, ['steps']) ?? 4,
        denoise: numberOf(values, ['denoise']) ?? 1,
      };
    case 'GUIDER':
      return {
        model: Object.values(values).find(isNamed) ?? { name: className },
        positive: Object.values(values).find(isConditioning) ?? { text: '' },
      };
    case 'AUDIO':
      return silence(numberOf(values, ['seconds', 'duration']));
    case 'VIDEO':
      return {
        kind: 'frames',
        images: neutralImage(className, values),
        fps: numberOf(values, ['fps']) ?? 24,
      };
    case 'STRING':
      return `simulated: ${className}`;
    case 'INT':
    case 'FLOAT':
      return 1;
    case 'BOOLEAN':
      return false;
    case 'MESH':
      return cube(1);
    case 'SVG':
      return { documents: [SVG] };
    case 'BOUNDING_BOX':
      return { x: 0, y: 0, width: 64, height: 64 };
    case 'ARRAY':
    case 'BOUNDING_BOXES':
    case 'LOAD3D_MODEL_INFO':
      return [];
    case 'DICT':
      return {};
    case 'COLOR':
      return '#807a72';
    default:
      return otherValue(String(type), className);
  }
}

function otherValue(type: string, className: string): unknown {
  if (!type.startsWith('FILE_3D')) return { simulated: className, type };
  const isCloud = /SPLAT|PLY|POINT_CLOUD|SPZ/.test(type);
  if (!isCloud)
    return {
      format: 'glb',
      bytes: encodeGlb(cube(1), 'comfyui-worker simulator: no model was run'),
    };
  return {
    format: 'ply',
    bytes: Buffer.from('ply\nformat ascii 1.0\nelement vertex 0\nend_header\n'),
  };
}

const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><title>simulated</title><rect width="64" height="64" fill="#807a72"/></svg>';

/** A grey picture with a caption. */
export function imageOf(caption: string, { width, height }: Size, frames: number): ImageBatch {
  return repeated(drawCaption(plainImage(width, height, 0x807a72), [caption]), frames);
}

/** Half a second of silence, or up to ten seconds if asked for. */
export function silence(seconds = 0.5): Audio {
  const samples = new Int16Array(Math.round(Math.min(Math.max(seconds, 0), 10) * 44_100));
  return { kind: 'sound', sound: { sampleRate: 44_100, channels: [samples, samples] } };
}

function neutralImage(className: string, values: Values): ImageBatch {
  const latent = Object.values(values).find(isLatent);
  if (latent && !('width' in values)) return decodeLatent(latent);
  return imageOf(`SIMULATED ${className}`, sizeOf(values) ?? SMALL, framesOf(values));
}

function neutralMask(values: Values): MaskBatch {
  const { width, height } = sizeOf(values) ?? SMALL;
  const frame = new Uint8Array(width * height);
  const picture = Object.values(values).find(isPicture);
  return { width, height, frames: picture ? picture.frames.map(() => frame) : [frame] };
}

function neutralLatent(className: string, values: Values): Latent {
  const whole = (length: number) => Math.max(8, length - (length % 8));
  const { width, height } = sizeOf(values) ?? { width: 512, height: 512 };
  return {
    width: whole(width),
    height: whole(height),
    batchSize: framesOf(values),
    channels: channelsOf(className),
  };
}

/** Channels of the latents of a model family, by words in the names of its classes. */
const CHANNELS: readonly (readonly [RegExp, number])[] = [
  [/ChromaRadiance|HiDreamO1/, 3],
  [/Flux2|LTXV|MiniMax/, 128],
  [/Wan22|Hunyuan3Dv2|StableAudio|LatentAudio/, 64],
  [/HunyuanVideo15|Trellis/, 32],
  [/HunyuanImage/, 64],
  [/AceStep/, 8],
  [/Mochi/, 12],
  [/SD3|Flux|Wan|Hunyuan|Cosmos|Qwen|Kandinsky|Chroma|HiDream|Lumina|Anima|ZImage|SCAIL/, 16],
];

function channelsOf(className: string): number {
  return CHANNELS.find(([words]) => words.test(className))?.[1] ?? 4;
}

const SMALL: Size = { width: 64, height: 64 };
const MAX_SIDE = 2048;
/** Simulated videos are short, because their frames are stored and encoded without compression. */
const MAX_FRAMES = 8;

/** The size a node is asked for, else that of its first picture or latent. */
function sizeOf(values: Values): Size | undefined {
  const side = (value: number) => Math.min(MAX_SIDE, Math.max(1, Math.trunc(value)));
  const width = numberOf(values, ['width', 'target_width', 'final_width']);
  const height = numberOf(values, ['height', 'target_height', 'final_height']);
  if (width && height) return { width: side(width), height: side(height) };
  return Object.values(values).find((value) => isPicture(value) || isLatent(value));
}

function framesOf(values: Values): number {
  const length = numberOf(values, ['length', 'num_frames', 'frames', 'frames_number']) ?? 1;
  const count = length * (numberOf(values, ['batch_size']) ?? 1);
  return Math.min(MAX_FRAMES, Math.max(1, Math.trunc(count)));
}

function numberOf(values: Values, names: readonly string[]): number | undefined {
  const found = names.map((name) => values[name]).find((value) => value !== undefined);
  const number = Number(typeof found === 'object' ? found?.valueOf() : found);
  return Number.isFinite(number) ? number : undefined;
}

/** The first file name among the inputs. */
function modelName(values: Values): string | undefined {
  return Object.values(values).find(
    (value): value is string => typeof value === 'string' && /\.\w{2,11}$/.test(value),
  );
}

/** Texts of several words, or inputs that are called after a prompt. */
function promptOf(values: Values): string {
  return Object.entries(values)
    .flatMap(([name, value]) =>
      typeof value === 'string' &&
      (/prompt|text|tags|lyrics|caption/.test(name) || /\s/.test(value))
        ? [value]
        : [],
    )
    .join('\n');
}

const has = (value: unknown, ...members: string[]): value is object =>
  typeof value === 'object' && value !== null && members.every((member) => member in value);

export const isLatent = (value: unknown): value is Latent =>
  has(value, 'width', 'height', 'batchSize');
export const isMesh = (value: unknown): value is Mesh => has(value, 'corners', 'triangles');
const isPicture = (value: unknown): value is ImageBatch | MaskBatch =>
  has(value, 'width', 'height', 'frames');
const isNamed = (value: unknown): value is { readonly name: string } => has(value, 'name');
const isConditioning = (value: unknown): value is { readonly text: string } => has(value, 'text');
