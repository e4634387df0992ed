import { describeError, isError, WorkerError } from '../../errors.ts';
import { JsonText, objectText } from '../../json.ts';
import { maybeMediaTypeOf, HEAD_BYTES } from '../../media-type.ts';
import {
  DamagedFile,
  type ByteSource,
  type MetadataReader,
  type NamedText,
} from './byte-source.ts';
import { glbTexts, safetensorsTexts, svgTexts } from './documents.ts';
import { isoTexts } from './iso-media.ts';
import { matroskaTexts } from './matroska.ts';
import { jpegTexts, pngTexts } from './pictures.ts';
import { flacTexts, mp3Texts, oggTexts, riffTexts } from './sound.ts';

/**
 * Workflows that ComfyUI, the editor and node packs write into the metadata of the files they save. `prompt` is what ran, in
 * API format; `workflow` is the file of the editor. The editor reads the same places (`src/scripts/metadata` in
 * ComfyUI's frontend); JPEG and WAV are added here.
 */

/**
 * Opens any file that may hold a workflow: JSON, or one that ComfyUI saved.
 * @returns its JSON, or what {@link readEmbedded} found; for {@link recognise}.
 * @throws WorkerError `workflow.unreadable`
 */
export async function openWorkflowFile(source: ByteSource): Promise<JsonText> {
  const embedded = await readEmbedded(source);
  if (embedded) return embedded;
  const text = await source.text();
  try {
    return JsonText.parse(text);
  } catch (error) {
    if (text.trim() === '') throw unreadable('It is empty');
    throw unreadable(`It is not JSON: ${describeError(error)}`, error);
  }
}

/**
 * Finds the workflow in a picture, video, sound or 3D file.
 * @returns `{"prompt": ..., "workflow": ...}` with what was found, as {@link recognise} takes it; undefined if the file is none
 * of these, and may be text.
 * @throws WorkerError `workflow.unreadable` if there is no workflow in it
 */
export async function readEmbedded(source: ByteSource): Promise<JsonText | undefined> {
  const head = await source.head(HEAD_BYTES);
  const format = FORMATS.find(({ isFormat }) => isFormat(head, source));
  if (!format) {
    const mediaType = isBinary(head) ? await maybeMediaTypeOf(head) : undefined;
    if (mediaType === undefined) return undefined;
    throw unreadable(`Files of the type ${mediaType} carry no workflow; send ${WHAT_TO_SEND}`);
  }
  const found: Found = { isForeign: false };
  try {
    for await (const text of format.read(source)) {
      take(text, found);
      if (found.prompt && found.workflow) break;
    }
  } catch (error) {
    if (!(error instanceof DamagedFile)) throw error;
    if (!found.prompt && !found.workflow)
      throw unreadable(`The ${format.name} file ${error.message}`, error);
  }
  const { prompt, workflow, isForeign } = found;
  if (!prompt && !workflow) throw noWorkflow(format.name, isForeign);
  return JsonText.parse(
    objectText([
      ...(prompt ? [['prompt', prompt.text] as const] : []),
      ...(workflow ? [['workflow', workflow.text] as const] : []),
    ]),
  );
}

interface Found {
  prompt?: JsonText;
  workflow?: JsonText;
  /** There are parameters of A1111, another program. */
  isForeign: boolean;
}

/** The first text of a name counts. A text of any other name may be one JSON object that holds both. */
function take([name, text]: NamedText, found: Found): void {
  if (name === 'parameters') found.isForeign = true;
  const wanted = name.toLowerCase();
  if (wanted === 'prompt' || wanted === 'workflow') {
    const value = maybeObject(JsonText.maybeParse(text));
    if (value) found[wanted] ??= value;
  } else if (text.trimStart().startsWith('{')) {
    const both = JsonText.maybeParse(text.trim());
    for (const member of ['prompt', 'workflow'] as const) {
      const value = maybeObject(both?.get(member));
      if (value) found[member] ??= value;
    }
  }
}

/** An object with members, or a string that holds one. */
function maybeObject(value: JsonText | undefined): JsonText | undefined {
  const text = value?.asString();
  const object = text === undefined ? value : JsonText.maybeParse(text);
  return object && object.entries().length > 0 ? object : undefined;
}

function noWorkflow(format: string, isForeign: boolean): WorkerError {
  if (isForeign) {
    return unreadable(
      `The ${format} file has the parameters of another program (A1111), and no workflow; send ${WHAT_TO_SEND}`,
    );
  }
  return unreadable(
    `The ${format} file carries no workflow; many programs and platforms remove it on the way. Send ${WHAT_TO_SEND}`,
  );
}

const WHAT_TO_SEND = "the workflow's own JSON file, or a file as ComfyUI saved it";

function unreadable(message: string, cause?: unknown): WorkerError {
  return new WorkerError('workflow.unreadable', message, isError(cause) ? { cause } : {});
}

/** A text in UTF-16 has zeros, too. */
const isBinary = (head: Buffer) =>
  head.includes(0) && !/^(?:\xff\xfe|\xfe\xff)/.test(head.toString('latin1', 0, 2));

interface Format {
  readonly name: string;
  readonly isFormat: (head: Buffer, source: ByteSource) => boolean;
  readonly read: MetadataReader;
}

const at =
  (offset: number, ...texts: string[]) =>
  (head: Buffer): boolean =>
    texts.some((text) => head.toString('latin1', offset, offset + text.length) === text);

const isRiff = (kind: string) => (head: Buffer) => at(0, 'RIFF', 'RF64')(head) && at(8, kind)(head);

const isSafetensors = (head: Buffer, { size }: ByteSource) =>
  head.length > 9 && at(8, '{')(head) && head.readBigUInt64LE() <= BigInt(size - 8);

const FORMATS: readonly Format[] = [
  { name: 'PNG', isFormat: at(0, '\x89PNG\r\n\x1a\n'), read: pngTexts },
  { name: 'JPEG', isFormat: at(0, '\xff\xd8\xff'), read: jpegTexts },
  { name: 'WebP', isFormat: isRiff('WEBP'), read: riffTexts },
  { name: 'WAV', isFormat: isRiff('WAVE'), read: riffTexts },
  { name: 'AVIF', isFormat: at(4, 'ftypavif', 'ftypavis'), read: isoTexts },
  { name: 'MP4', isFormat: at(4, 'ftyp', 'moov', 'wide', 'mdat', 'free'), read: isoTexts },
  { name: 'WebM', isFormat: at(0, '\x1a\x45\xdf\xa3'), read: matroskaTexts },
  { name: 'FLAC', isFormat: at(0, 'fLaC'), read: flacTexts },
  { name: 'Ogg', isFormat: at(0, 'OggS'), read: oggTexts },
  {
    name: 'MP3',
    isFormat: at(0, 'ID3', '\xff\xfb', '\xff\xf3', '\xff\xf2', '\xff\xfa'),
    read: mp3Texts,
  },
  { name: 'GLB', isFormat: at(0, 'glTF'), read: glbTexts },
  {
    name: 'SVG',
    isFormat: (head) =>
      /^\s*(?:<\?xml|<!--|<!DOCTYPE svg|<svg)/i.test(head.toString('latin1', 0, 512)),
    read: svgTexts,
  },
  { name: 'safetensors', isFormat: isSafetensors, read: safetensorsTexts },
];
