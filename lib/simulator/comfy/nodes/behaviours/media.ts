/** Nodes that save pictures, videos, sounds and texts, and take videos apart. Formats that cannot be encoded are named in the log. */

import { copyFile, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { encodeMp4 } from '../../encoders/mp4.ts';
import { encodeWebm } from '../../encoders/webm.ts';
import { encodeSafetensors } from '../models/latent-files.ts';
import { describeOrigin, findOutputPlace, withPngText, type OutputPlace } from '../output-files.ts';
import { openFrame } from '../images/pixels.ts';
import { writeAudio } from '../media/audio.ts';
import { imageOf, silence } from '../recorded/neutral.ts';
import type { NodeContext, NodeResult } from '../node.ts';
import type { Svg, Video } from '../values.ts';
import type { Behaviour, Behaviours, Given } from './given.ts';

export const MEDIA_BEHAVIOURS: Behaviours = {
  SaveImageAdvanced: saveImages,
  SaveVideo: saveVideo,
  GetVideoComponents: (given) => {
    const video = given.video('video');
    const images =
      video.kind === 'frames' ? video.images : imageOf('SIMULATED', { width: 512, height: 512 }, 8);
    const audio =
      video.kind === 'frames' ? (video.audio ?? silence()) : { kind: 'file', path: video.path };
    return [images, audio, video.kind === 'frames' ? video.fps : 24, 8, 'sRGB'];
  },
  'Video Slice': (given) => [given.video('video')],
  SaveAudioOpus: (given, context) => saveSound(given, context, 'opus'),
  SaveAudioAdvanced: (given, context) =>
    saveSound(given, context, given.group('format').text('format')),
  SaveText: saveText,
  SaveSVGNode: saveSvg,
  SAM3_TrackPreview: async (given, context) => {
    const images = given.has('images')
      ? given.image('images')
      : imageOf('SIMULATED', { width: 512, height: 512 }, 1);
    const place = await findOutputPlace(context.folders.temp, { ...images, prefix: 'sam3_track' });
    const filename = `${place.nextName(0)}.mp4`;
    await writeFile(join(place.folder, filename), encodeMp4(images, given.number('fps')));
    return {
      ui: { images: [{ filename, subfolder: place.subfolder, type: 'temp' }], animated: [true] },
    };
  },
  CheckpointSave: saveWeights('filename_prefix'),
  CLIPSave: saveWeights('filename_prefix'),
  VAESave: saveWeights('filename_prefix'),
  ModelSave: saveWeights('filename_prefix'),
  ImageOnlyCheckpointSave: saveWeights('filename_prefix'),
  LoraSave: saveWeights('filename_prefix'),
  SaveLoRA: saveWeights('prefix'),
};

const NO_SIZE = { width: 1, height: 1 };

/** Later nodes name their files without an underscore behind the counter. */
const plainName = (place: OutputPlace, at: number) => place.nextName(at).replace(/_$/, '');

/** EXR files have the right name, but contain a PNG. */
async function saveImages(given: Given, context: NodeContext): Promise<NodeResult> {
  const images = given.image('images');
  const format = given.group('format').text('format');
  const place = await findOutputPlace(context.folders.output, {
    ...images,
    prefix: given.text('filename_prefix'),
  });
  const metadata = describeOrigin(context);
  if (format !== 'png') context.note(`Simulated: .${format} files contain a PNG`);
  const deep = given.group('format').text('bit_depth') === '16-bit';
  const items = images.frames.map(async (frame, at) => {
    const filename = `${plainName(place, at)}.${format}`;
    const opened = openFrame(images, frame);
    const png = await (deep ? opened.toColourspace('rgb16') : opened).png().toBuffer();
    await writeFile(join(place.folder, filename), withPngText(png, metadata));
    return { filename, subfolder: place.subfolder, type: 'output' };
  });
  return { ui: { images: await Promise.all(items) }, outputs: [images] };
}

const EXTENSIONS: Readonly<Record<string, string>> = {
  auto: 'mp4',
  mp4: 'mp4',
  mkv: 'mkv',
  webm: 'webm',
};

/** Frames become H.264 in MP4 or VP8 in WebM, whichever codec is chosen; a loaded file is copied unchanged. */
async function saveVideo(given: Given, context: NodeContext): Promise<NodeResult> {
  const video = given.video('video');
  const chosen = given.value('format');
  const format = typeof chosen === 'string' ? chosen : given.group('format').text('format');
  const size = video.kind === 'frames' ? video.images : NO_SIZE;
  const place = await findOutputPlace(context.folders.output, {
    ...size,
    prefix: given.text('filename_prefix'),
  });
  const filename = `${place.nextName(0)}.${EXTENSIONS[format] ?? format}`;
  await writeVideo(video, join(place.folder, filename));
  const item = { filename, subfolder: place.subfolder, type: 'output' };
  return { ui: { images: [item], animated: [true] }, outputs: [video] };
}

async function writeVideo(video: Video, path: string): Promise<void> {
  if (video.kind === 'file') return copyFile(video.path, path);
  const isWebm = extname(path) === '.webm';
  const encoded = isWebm ? encodeWebm(video.images, video.fps) : encodeMp4(video.images, video.fps);
  await writeFile(path, await encoded);
}

async function saveSound(
  given: Given,
  context: NodeContext,
  extension: string,
): Promise<NodeResult> {
  const audio = given.audio('audio');
  const prefix = given.text('filename_prefix');
  return {
    ...(await writeAudio(audio, context, { type: 'output', prefix, extension })),
    outputs: [audio],
  };
}

async function saveText(given: Given, context: NodeContext): Promise<NodeResult> {
  const [text, format] = [given.text('text'), given.text('format')];
  const place = await findOutputPlace(context.folders.output, {
    ...NO_SIZE,
    prefix: given.text('filename_prefix'),
  });
  const filename = `${plainName(place, 0)}.${format}`;
  await writeFile(join(place.folder, filename), format === 'json' ? prettyJson(text) : text);
  const files = [{ filename, subfolder: place.subfolder, type: 'output' }];
  return { ui: { text: [text], files }, outputs: [text] };
}

function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function saveSvg(given: Given, context: NodeContext): Promise<NodeResult> {
  const svg = given.value('svg') as Svg;
  const place = await findOutputPlace(context.folders.output, {
    ...NO_SIZE,
    prefix: given.text('filename_prefix'),
  });
  const items = svg.documents.map(async (document, at) => {
    const filename = `${place.nextName(at)}.svg`;
    await writeFile(join(place.folder, filename), document);
    return { filename, subfolder: place.subfolder, type: 'output' };
  });
  return { ui: { images: await Promise.all(items) }, outputs: [svg] };
}

/** A safetensors file without tensors, as a mark that something was saved. */
function saveWeights(prefixInput: string): Behaviour {
  return async (given, context) => {
    const place = await findOutputPlace(context.folders.output, {
      ...NO_SIZE,
      prefix: given.text(prefixInput),
    });
    const file = encodeSafetensors({}, Object.fromEntries(describeOrigin(context)));
    await writeFile(join(place.folder, `${place.nextName(0)}.safetensors`), file);
    return { ui: {} };
  };
}
