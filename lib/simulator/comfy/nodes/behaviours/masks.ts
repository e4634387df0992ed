/** Nodes that create and change masks. */

import { maskToImage } from '../images/pixels.ts';
import { savePngs } from '../images/save-images.ts';
import type { MaskBatch } from '../values.ts';
import type { Behaviours, Given } from './given.ts';
import { crop, invertMask } from './pictures.ts';

export const MASK_BEHAVIOURS: Behaviours = {
  SolidMask: (given) => {
    const [width, height] = [given.number('width'), given.number('height')];
    const frame = new Uint8Array(width * height).fill(Math.round(given.number('value') * 255));
    return [{ width, height, frames: [frame] }];
  },
  InvertMask: (given) => [invertMask(given.mask('mask'))],
  CropMask: (given) => {
    const [x, y] = [given.number('x'), given.number('y')];
    const size = { width: given.number('width'), height: given.number('height') };
    return [crop(given.mask('mask'), { x, y, ...size })];
  },
  MaskComposite: (given) => [composite(given)],
  FeatherMask: (given) => [feather(given)],
  GrowMask: (given) => [
    grow(given.mask('mask'), given.number('expand'), given.flag('tapered_corners')),
  ],
  ThresholdMask: (given) => {
    const limit = given.number('value') * 255;
    return [mapMask(given.mask('mask'), (value) => (value > limit ? 255 : 0))];
  },
  ImageColorToMask: (given) => {
    const { width, height, channels, frames } = given.image('image');
    const color = given.number('color');
    const select = (frame: Uint8Array) =>
      Uint8Array.from({ length: width * height }, (_, at) => {
        const [red = 0, green = 0, blue = 0] = frame.subarray(at * channels, at * channels + 3);
        return ((red << 16) | (green << 8) | blue) === color ? 255 : 0;
      });
    return [{ width, height, frames: frames.map(select) }];
  },
  MaskPreview: async (given, context) => {
    const mask = given.mask('mask');
    const options = { type: 'temp', prefix: 'ComfyUI_temp', compressionLevel: 1 } as const;
    return { ...(await savePngs(maskToImage(mask), context, options)), outputs: [mask] };
  },
};

function mapMask({ frames, ...size }: MaskBatch, change: (value: number) => number): MaskBatch {
  return { ...size, frames: frames.map((frame) => frame.map(change)) };
}

/** What two values between 0 and 255 become. Logical operations round to 0 or 1 first. */
const OPERATIONS: Readonly<Record<string, (below: number, above: number) => number>> = {
  multiply: (below, above) => (below * above) / 255,
  add: (below, above) => below + above,
  subtract: (below, above) => below - above,
  and: (below, above) => (below > 127 && above > 127 ? 255 : 0),
  or: (below, above) => (below > 127 || above > 127 ? 255 : 0),
  xor: (below, above) => (below > 127 !== above > 127 ? 255 : 0),
};

function composite(given: Given): MaskBatch {
  const [target, source] = [given.mask('destination'), given.mask('source')];
  const [x, y] = [given.number('x'), given.number('y')];
  const combine = OPERATIONS[given.text('operation')] ?? ((_, above: number) => above);
  const frames = target.frames.map((frame, index) => {
    const pixels = Uint8ClampedArray.from(frame);
    const above = source.frames[index % source.frames.length] ?? new Uint8Array();
    for (let row = 0; row < Math.min(source.height, target.height - y); row++) {
      for (let column = 0; column < Math.min(source.width, target.width - x); column++) {
        const at = (y + row) * target.width + x + column;
        pixels[at] = combine(pixels[at] ?? 0, above[row * source.width + column] ?? 0);
      }
    }
    return new Uint8Array(pixels);
  });
  return { ...target, frames };
}

/** Fades towards each border. */
function feather(given: Given): MaskBatch {
  const mask = given.mask('mask');
  const ramp = (length: number, before: number, after: number) =>
    Float64Array.from({ length }, (_, at) => {
      const rate = (distance: number, fade: number) =>
        distance < fade ? (distance + 1) / fade : 1;
      return rate(at, Math.min(before, length)) * rate(length - 1 - at, Math.min(after, length));
    });
  const across = ramp(mask.width, given.number('left'), given.number('right'));
  const down = ramp(mask.height, given.number('top'), given.number('bottom'));
  const frames = mask.frames.map((frame) =>
    frame.map((value, at) => {
      const rate = (across[at % mask.width] ?? 1) * (down[Math.floor(at / mask.width)] ?? 1);
      return Math.round(value * rate);
    }),
  );
  return { ...mask, frames };
}

/** Grows (or shrinks, if negative) by one pixel at a time, also diagonally unless corners are tapered. */
function grow(mask: MaskBatch, expand: number, tapered: boolean): MaskBatch {
  const sign = expand < 0 ? -1 : 1;
  const times = Math.min(Math.abs(Math.trunc(expand)), Math.max(mask.width, mask.height));
  const growFrame = (frame: Uint8Array) => {
    if (frame.every((value) => value === frame[0])) return frame;
    let grown = frame;
    for (let at = 0; at < times; at++) {
      const across = spread(grown, mask.width, 1, sign);
      grown = spread(tapered ? grown : across, mask.width, mask.width, sign);
      if (tapered) grown = strongest(grown, across, sign);
    }
    return grown;
  };
  const done = new Map<Uint8Array, Uint8Array>(); // frames of a batch are often the same
  for (const frame of mask.frames) if (!done.has(frame)) done.set(frame, growFrame(frame));
  return { ...mask, frames: mask.frames.map((frame) => done.get(frame) ?? frame) };
}

/** Each value becomes the strongest of itself and its two neighbours: `step` 1 for those beside it, the width for above and below. */
function spread(frame: Uint8Array, width: number, step: number, sign: number): Uint8Array {
  const result = Uint8Array.from(frame);
  for (let at = 0; at < frame.length; at++) {
    const own = frame[at] ?? 0;
    const first = step === 1 && at % width === 0 ? own : (frame[at - step] ?? own);
    const second = step === 1 && at % width === width - 1 ? own : (frame[at + step] ?? own);
    let best = own;
    if ((first - best) * sign > 0) best = first;
    if ((second - best) * sign > 0) best = second;
    result[at] = best;
  }
  return result;
}

function strongest(one: Uint8Array, other: Uint8Array, sign: number): Uint8Array {
  return one.map((value, at) => (((other[at] ?? 0) - value) * sign > 0 ? (other[at] ?? 0) : value));
}
