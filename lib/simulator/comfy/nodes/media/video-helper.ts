/**
 * Two nodes of the custom node pack VideoHelperSuite, which most video workflows use. Written from its published
 * behaviour, not from a recording.
 */

import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { encodeMp4 } from '../../encoders/mp4.ts';
import { encodeWebm } from '../../encoders/webm.ts';
import type { ImageBatch, NodeContext } from '../node.ts';
import { drawCaption } from '../drawing/caption.ts';
import { classNode } from '../define-node.ts';
import { checkInputFile, dateInputFile, inputFile, listInputMedia } from '../input-files.ts';
import { audio, boolean, choice, float, hostChoice, image, int, text } from '../inputs.ts';
import { readImage, withoutAlpha } from '../images/load-images.ts';
import { describeOrigin, findOutputPlace, withPngText } from '../output-files.ts';
import { openFrame, plainImage, repeated } from '../images/pixels.ts';
import { scaleTo, wantedSize } from '../images/scaling.ts';

const MODULE = 'custom_nodes.ComfyUI-VideoHelperSuite';
const CATEGORY = 'Video Helper Suite 🎥🅥🅗🅢';

const count = () => int({ default: 0, min: 0, max: 0x1fffffffffffff, step: 1 });
const side = () => int({ default: 0, min: 0, max: 8192, step: 8 });

const loadVideo = classNode({
  name: 'VHS_LoadVideo',
  title: 'Load Video (Upload) 🎥🅥🅗🅢',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    video: hostChoice(listVideos),
    force_rate: float({ default: 0, min: 0, max: 60, step: 1 }),
    custom_width: side(),
    custom_height: side(),
    frame_load_cap: count(),
    skip_first_frames: count(),
    select_every_nth: int({ default: 1, min: 1, max: 0x1fffffffffffff, step: 1 }),
  },
  outputs: ['IMAGE', 'INT', 'AUDIO', 'VHS_VIDEOINFO'],
  outputNames: ['IMAGE', 'frame_count', 'audio', 'video_info'],
  run: async ({ video, custom_width, custom_height, ...choice }, { folders }) => {
    const path = inputFile(video, folders);
    const images = chosenFrames(await readFrames(path), choice);
    const size = wantedSize(images, { width: custom_width, height: custom_height });
    const scaled = await scaleTo(images, size, { method: 'lanczos', crop: 'center' });
    const sound = { kind: 'file', path };
    const info = { loaded_frame_count: scaled.frames.length, loaded_width: scaled.width };
    return { outputs: [scaled, scaled.frames.length, sound, info] };
  },
  validate: checkInputFile('video', 'video'),
  fingerprint: dateInputFile('video'),
});

async function listVideos(host: Parameters<typeof listInputMedia>[0]): Promise<string[]> {
  const images = await listInputMedia(host, 'image');
  return [
    ...(await listInputMedia(host, 'video')),
    ...images.filter((name) => /\.(gif|webp)$/.test(name)),
  ].sort();
}

/** Loads animated images. Videos are not decoded; they give frames with the caption SIMULATED. */
async function readFrames(path: string): Promise<ImageBatch> {
  if (/\.(gif|webp)$/.test(path)) return withoutAlpha(await readImage(path));
  return drawCaption(repeated(plainImage(64, 64, 0x807a72), 8), ['SIMULATED']);
}

interface FrameChoice {
  readonly frame_load_cap: number;
  readonly skip_first_frames: number;
  readonly select_every_nth: number;
}

function chosenFrames(images: ImageBatch, choice: FrameChoice): ImageBatch {
  const rest = images.frames.slice(choice.skip_first_frames);
  const nth = rest.filter((_, at) => at % choice.select_every_nth === 0);
  return { ...images, frames: nth.slice(0, choice.frame_load_cap || nth.length) };
}

const FORMATS = ['image/gif', 'image/webp', 'video/h264-mp4', 'video/webm'] as const;
const EXTENSIONS = {
  'image/gif': 'gif',
  'image/webp': 'webp',
  'video/h264-mp4': 'mp4',
  'video/webm': 'webm',
} as const;

/** The audio input is ignored. */
const videoCombine = classNode({
  name: 'VHS_VideoCombine',
  title: 'Video Combine 🎥🅥🅗🅢',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    images: image(),
    frame_rate: float({ default: 8, min: 1, step: 1 }),
    loop_count: int({ default: 0, min: 0, max: 100, step: 1 }),
    filename_prefix: text({ default: 'AnimateDiff' }),
    format: choice(FORMATS),
    pingpong: boolean({ default: false }),
    save_output: boolean({ default: true }),
  },
  optional: { audio: audio() },
  hidden: ['prompt', 'extra_pnginfo', 'unique_id'],
  outputs: ['VHS_FILENAMES'],
  outputNames: ['Filenames'],
  shows: true,
  run: async ({ images, frame_rate, format, pingpong, save_output, ...rest }, context) => {
    const type = save_output ? 'output' : 'temp';
    const place = await findPlace(context.folders[type], images, rest.filename_prefix);
    const workflow = `${place.stem}.png`;
    const filename = `${place.stem}.${EXTENSIONS[format]}`;
    const fullpath = join(place.folder, filename);
    const frames = pingpong ? backAndForth(images) : images;
    await writeFile(join(place.folder, workflow), await firstFrame(images, context));
    await writeFile(fullpath, await encode(frames, format, { ...rest, frame_rate }));
    const { subfolder } = place;
    const item = { filename, subfolder, type, format, frame_rate, workflow, fullpath };
    const written = [join(place.folder, workflow), fullpath];
    return { ui: { gifs: [item] }, outputs: [[save_output, written]] };
  },
});

/** Here the counter ends right before the dot; ComfyUI's own file names have an underscore between them. */
async function findPlace(root: string, images: ImageBatch, prefix: string) {
  const { folder, subfolder, nextName } = await findOutputPlace(root, { ...images, prefix });
  const name = nextName(0).replace(/_\d+_$/, '');
  const counters = (await readdir(folder))
    .filter((entry) => entry.startsWith(`${name}_`))
    .map((entry) => Number(/^(\d+)\D*\./.exec(entry.slice(name.length + 1))?.[1] ?? 0));
  const next = Math.max(0, ...counters) + 1;
  return { folder, subfolder, stem: `${name}_${String(next).padStart(5, '0')}` };
}

const backAndForth = (images: ImageBatch): ImageBatch => ({
  ...images,
  frames: [...images.frames, ...images.frames.slice(1, -1).reverse()],
});

async function firstFrame(images: ImageBatch, context: NodeContext): Promise<Buffer> {
  const [frame = new Uint8Array()] = images.frames;
  return withPngText(await openFrame(images, frame).png().toBuffer(), describeOrigin(context));
}

async function encode(
  images: ImageBatch,
  format: keyof typeof EXTENSIONS,
  { frame_rate, loop_count }: { readonly frame_rate: number; readonly loop_count: number },
): Promise<Buffer> {
  switch (format) {
    case 'video/h264-mp4':
      return encodeMp4(images, frame_rate);
    case 'video/webm':
      return encodeWebm(images, frame_rate);
    case 'image/gif':
    case 'image/webp': {
      const { width, height, channels, frames } = images;
      const raw = { width, height: height * frames.length, channels, pageHeight: height };
      const delay = frames.map(() => Math.round(1000 / frame_rate));
      const picture = sharp(Buffer.concat(frames), { raw });
      const options = { delay, loop: loop_count };
      return (format === 'image/gif' ? picture.gif(options) : picture.webp(options)).toBuffer();
    }
  }
}

export const VIDEO_HELPER_NODES = [loadVideo, videoCombine];
