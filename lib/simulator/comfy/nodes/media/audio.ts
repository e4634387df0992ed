/** Audio nodes. A loaded file is copied unchanged, in any output format; silence is saved as FLAC. */

import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import mime from 'mime';
import { encodeFlac } from '../../encoders/flac.ts';
import type { NodeContext, NodeHost, NodeResult } from '../node.ts';
import { schemaNode } from '../define-node.ts';
import { checkInputFile, hashInputFile, inputFile, listInputFiles } from '../input-files.ts';
import { audio, choice, float, int, text, uploadedFile } from '../inputs.ts';
import { findOutputPlace } from '../output-files.ts';
import { randomLetters } from '../images/save-images.ts';
import type { Audio } from '../values.ts';

const MODULE = 'comfy_extras.nodes_audio';
const HIDDEN = ['prompt', 'extra_pnginfo'];

const loadAudio = schemaNode({
  name: 'LoadAudio',
  title: 'Load Audio',
  module: MODULE,
  category: 'audio',
  inputs: { audio: uploadedFile(listSounds, 'audio_upload') },
  outputs: ['AUDIO'],
  run: ({ audio }, { folders }): NodeResult => {
    const loaded: Audio = { kind: 'file', path: inputFile(audio, folders) };
    return { outputs: [loaded] };
  },
  validate: checkInputFile('audio', 'audio'),
  fingerprint: hashInputFile('audio'),
});

/** The choices include videos, because they contain sound. */
async function listSounds(host: NodeHost): Promise<string[]> {
  const names = await listInputFiles(host);
  return names.filter((name) => /^(audio|video)\//.test(mime.getType(name) ?? ''));
}

const emptyAudio = schemaNode({
  name: 'EmptyAudio',
  title: 'Empty Audio',
  module: MODULE,
  category: 'audio',
  inputs: {
    duration: float({ default: 60, min: 0, max: 0xffffffff, step: 0.01 }),
    sample_rate: int({ default: 44_100, min: 1, max: 192_000 }),
    channels: int({ default: 2, min: 1, max: 2 }),
  },
  outputs: ['AUDIO'],
  run: ({ duration, sample_rate: sampleRate, channels }): NodeResult => {
    const silence = new Int16Array(Math.round(duration * sampleRate));
    const sound = { sampleRate, channels: Array<Int16Array>(channels).fill(silence) };
    const audio: Audio = { kind: 'sound', sound };
    return { outputs: [audio] };
  },
});

const prefixInput = () => text({ default: 'audio/ComfyUI', multiline: false });

const saveAudio = schemaNode({
  name: 'SaveAudio',
  title: 'Save Audio (FLAC)',
  module: MODULE,
  category: 'audio',
  inputs: { audio: audio(), filename_prefix: prefixInput() },
  hidden: HIDDEN,
  shows: true,
  run: ({ audio, filename_prefix: prefix }, context) =>
    writeAudio(audio, context, { type: 'output', prefix, extension: 'flac' }),
});

const saveAudioMp3 = schemaNode({
  name: 'SaveAudioMP3',
  title: 'Save Audio (MP3)',
  module: MODULE,
  category: 'audio',
  inputs: {
    audio: audio(),
    filename_prefix: prefixInput(),
    quality: choice(['V0', '128k', '320k'], { default: 'V0' }),
  },
  hidden: HIDDEN,
  shows: true,
  run: ({ audio, filename_prefix: prefix }, context) =>
    writeAudio(audio, context, { type: 'output', prefix, extension: 'mp3' }),
});

const previewAudio = schemaNode({
  name: 'PreviewAudio',
  title: 'Preview Audio',
  module: MODULE,
  category: 'audio',
  inputs: { audio: audio() },
  hidden: HIDDEN,
  shows: true,
  run: ({ audio }, context) =>
    writeAudio(audio, context, {
      type: 'temp',
      prefix: `ComfyUI_temp_${randomLetters(5)}`,
      extension: 'flac',
    }),
});

interface SaveOptions {
  readonly type: 'output' | 'temp';
  readonly prefix: string;
  readonly extension: string;
}

/** Writes a sound; a loaded file is copied unchanged. */
export async function writeAudio(
  audio: Audio,
  { folders }: NodeContext,
  { type, prefix, extension }: SaveOptions,
): Promise<NodeResult> {
  const place = await findOutputPlace(folders[type], { prefix, width: 0, height: 0 });
  const filename = `${place.nextName(0)}.${extension}`;
  const path = join(place.folder, filename);
  if (audio.kind === 'file') await copyFile(audio.path, path);
  else await writeFile(path, encodeFlac(audio.sound));
  return { ui: { audio: [{ filename, subfolder: place.subfolder, type }] } };
}

export const AUDIO_NODES = [loadAudio, emptyAudio, saveAudio, saveAudioMp3, previewAudio];
