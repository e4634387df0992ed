/** Video nodes. A loaded file is copied unchanged; frames are encoded as a playable file. */

import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeMp4 } from '../../encoders/mp4.ts';
import { encodeWebm } from '../../encoders/webm.ts';
import type { NodeResult } from '../node.ts';
import { schemaNode } from '../define-node.ts';
import { checkInputFile, dateInputFile, inputFile, listInputMedia } from '../input-files.ts';
import { audio, choice, float, image, text, uploadedFile, video } from '../inputs.ts';
import { findOutputPlace, type OutputPlace } from '../output-files.ts';
import type { Video } from '../values.ts';

const MODULE = 'comfy_extras.nodes_video';
const CATEGORY = 'image/video';
const HIDDEN = ['prompt', 'extra_pnginfo'];

const loadVideo = schemaNode({
  name: 'LoadVideo',
  title: 'Load Video',
  module: MODULE,
  category: CATEGORY,
  inputs: { file: uploadedFile((host) => listInputMedia(host, 'video'), 'video_upload') },
  outputs: ['VIDEO'],
  run: ({ file }, { folders }): NodeResult => {
    const video: Video = { kind: 'file', path: inputFile(file, folders) };
    return { outputs: [video] };
  },
  validate: checkInputFile('file', 'video'),
  fingerprint: dateInputFile('file'),
});

/** The sound is passed on, but not written into the saved file. */
const createVideo = schemaNode({
  name: 'CreateVideo',
  title: 'Create Video',
  module: MODULE,
  category: CATEGORY,
  inputs: { images: image(), fps: float({ default: 30, min: 1, max: 120, step: 1 }) },
  optional: { audio: audio() },
  outputs: ['VIDEO'],
  run: ({ images, fps, audio }): NodeResult => {
    const video: Video = { kind: 'frames', images, fps, ...(audio && { audio }) };
    return { outputs: [video] };
  },
});

const saveVideo = schemaNode({
  name: 'SaveVideo',
  title: 'Save Video',
  module: MODULE,
  category: CATEGORY,
  inputs: {
    video: video(),
    filename_prefix: text({ default: 'video/ComfyUI', multiline: false }),
    format: choice(['auto', 'mp4'], { default: 'auto' }),
    codec: choice(['auto', 'h264'], { default: 'auto' }),
  },
  hidden: HIDDEN,
  shows: true,
  run: async ({ video, filename_prefix: prefix }, { folders }) => {
    const size = video.kind === 'frames' ? video.images : { width: 0, height: 0 };
    const place = await findOutputPlace(folders.output, { ...size, prefix });
    return { ui: await show(place, 'mp4', (path) => writeVideo(video, path)) };
  },
});

/** Always encodes VP8, whichever codec is chosen. */
const saveWebm = schemaNode({
  name: 'SaveWEBM',
  module: MODULE,
  category: CATEGORY,
  experimental: true,
  inputs: {
    images: image(),
    filename_prefix: text({ default: 'ComfyUI', multiline: false }),
    codec: choice(['vp9', 'av1']),
    fps: float({ default: 24, min: 0.01, max: 1000, step: 0.01 }),
    crf: float({ default: 32, min: 0, max: 63, step: 1 }),
  },
  hidden: HIDDEN,
  shows: true,
  run: async ({ images, filename_prefix: prefix, fps }, { folders }) => {
    const place = await findOutputPlace(folders.output, { ...images, prefix });
    const webm = await encodeWebm(images, fps);
    return { ui: await show(place, 'webm', (path) => writeFile(path, webm)) };
  },
});

async function writeVideo(video: Video, path: string): Promise<void> {
  if (video.kind === 'file') await copyFile(video.path, path);
  else await writeFile(path, encodeMp4(video.images, video.fps));
}

/** ComfyUI lists videos under `images`, with `animated: [true]`. */
async function show(
  { folder, subfolder, nextName }: OutputPlace,
  extension: string,
  write: (path: string) => Promise<void>,
): Promise<NonNullable<NodeResult['ui']>> {
  const filename = `${nextName(0)}.${extension}`;
  await write(join(folder, filename));
  return { images: [{ filename, subfolder, type: 'output' }], animated: [true] };
}

export const VIDEO_NODES = [loadVideo, createVideo, saveVideo, saveWebm];
