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
  const { width, height } = mask;
  const [left, right] = ['left', 'right'].map((name) => Math.min(given.number(name), width)) as [
    number,
    number,
  ];
  const [top, bottom] = ['top', 'bottom'].map((name) => Math.min(given.number(name), height)) as [
    number,
    number,
  ];
  const rate = (distance: number, length: number) =>
    distance < length ? (distance + 1) / length : 1;
  const frames = mask.frames.map((frame) =>
    frame.map((value, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      const across = rate(x, left) * rate(width - 1 - x, right);
      return Math.round(value * across * rate(y, top) * rate(height - 1 - y, bottom));
    }),
  );
  return { ...mask, frames };
}

/** Grows (or shrinks, if negative) by one pixel at a time, also diagonally unless corners are tapered. */
function grow(mask: MaskBatch, expand: number, tapered: boolean): MaskBatch {
  const { width, height } = mask;
  const pick = expand < 0 ? Math.min : Math.max;
  const around = [-1, 0, 1].flatMap((dy) =>
    [-1, 0, 1].filter((dx) => !tapered || dx === 0 || dy === 0).map((dx) => [dx, dy] as const),
  );
  const step = (frame: Uint8Array) =>
    frame.map((_, at) => {
      const [x, y] = [at % width, Math.floor(at / width)];
      let result = frame[at] ?? 0;
      for (const [dx, dy] of around) {
        const [column, row] = [clamp(x + dx, width), clamp(y + dy, height)];
        result = pick(result, frame[row * width + column] ?? 0);
      }
      return result;
    });
  const times = Math.min(Math.abs(Math.trunc(expand)), Math.max(width, height));
  const frames = mask.frames.map((frame) => {
    let grown = frame;
    for (let at = 0; at < times; at++) grown = step(grown);
    return grown;
  });
  return { ...mask, frames };
}

const clamp = (place: number, length: number) => Math.max(0, Math.min(length - 1, place));
