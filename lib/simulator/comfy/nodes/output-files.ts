/**
 * Names and metadata of saved files. ComfyUI's `folder_paths.get_save_image_path`: the prefix may contain a subfolder, and
 * the counter continues after the highest number found there, so that numbers of deleted files are used again.
 */

import { mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, normalize, resolve, sep } from 'node:path';
import { crc32 } from 'node:zlib';
import { PythonError } from '../python/python-text.ts';
import { JsonText } from '../../../json.ts';
import type { NodeContext } from './node.ts';

export interface OutputPlace {
  /** Absolute path; the folder exists. */
  readonly folder: string;
  readonly subfolder: string;
  /** The next file name without extension: `<name>_<counter>_`. */
  readonly nextName: (batchNumber: number) => string;
}

export interface PlaceOptions {
  readonly prefix: string;
  readonly width: number;
  readonly height: number;
  readonly now?: Date;
}

/**
 * Call it when the node runs, not earlier: other nodes may save files in between.
 * @throws PythonError when the prefix leads out of `outputFolder`. ComfyUI also checks this only now.
 */
export async function findOutputPlace(
  outputFolder: string,
  { prefix, ...facts }: PlaceOptions,
): Promise<OutputPlace> {
  const path = normalize(fillTokens(prefix, facts));
  const name = basename(path);
  const subfolder = dirname(path) === '.' ? '' : dirname(path);
  const folder = resolve(outputFolder, subfolder);
  refuseEscape(folder, resolve(outputFolder));
  await mkdir(folder, { recursive: true });
  let counter = await highestCounter(folder, name);
  return {
    folder,
    subfolder,
    nextName: (batchNumber) => {
      counter++;
      const numbered = name.replaceAll('%batch_num%', String(batchNumber));
      return `${numbered}_${String(counter).padStart(5, '0')}_`;
    },
  };
}

/** Uses local time, like ComfyUI. `%date:...%` is expanded by the editor, not here. */
function fillTokens(
  prefix: string,
  { width, height, now = new Date() }: Omit<PlaceOptions, 'prefix'>,
): string {
  const values: Record<string, number> = {
    width,
    height,
    year: now.getFullYear(),
    month: now.getMonth() + 1,
    day: now.getDate(),
    hour: now.getHours(),
    minute: now.getMinutes(),
    second: now.getSeconds(),
  };
  return prefix.replace(/%(\w+)%/g, (token, name: string) => {
    const value = values[name];
    return value === undefined ? token : String(value).padStart(2, '0');
  });
}

/** The highest counter in the folder, with any extension and with or without an underscore behind it. */
async function highestCounter(folder: string, name: string): Promise<number> {
  const counters = (await readdir(folder))
    .filter((entry) => entry.startsWith(`${name}_`))
    .map((entry) => /^(\d+)(?:[_.]|$)/.exec(entry.slice(name.length + 1))?.[1] ?? 0);
  return counters.reduce<number>((highest, counter) => Math.max(highest, Number(counter)), 0);
}

/** The message is ComfyUI's own; people search for it. */
function refuseEscape(folder: string, outputFolder: string): void {
  if (folder === outputFolder || folder.startsWith(outputFolder + sep)) return;
  throw new PythonError(
    'Exception',
    [
      '**** ERROR: Saving image outside the output folder is not allowed.',
      ` full_output_folder: ${folder}`,
      `         output_dir: ${outputFolder}`,
    ].join('\n'),
  );
}

/** Metadata for saved files: a note that the file is simulated, the workflow, and the caller's `extra_pnginfo`. */
export function describeOrigin({
  prompt,
  extraPnginfo,
}: NodeContext): [name: string, text: string][] {
  const graph: [string, unknown][] = prompt === undefined ? [] : [['prompt', prompt]];
  const entries = [...graph, ...entriesOf(extraPnginfo)];
  return [
    ['Software', 'comfyui-worker simulator: no model was run'],
    ...entries.map(([name, value]): [string, string] => [name, jsonOf(value)]),
  ];
}

function entriesOf(value: unknown): [string, unknown][] {
  if (value instanceof JsonText) return value.entries();
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function jsonOf(value: unknown): string {
  return value instanceof JsonText ? value.text : JSON.stringify(value);
}

/**
 * Adds `tEXt` chunks to a PNG after its header, where ComfyUI writes the workflow. sharp cannot write chunks with custom
 * names.
 */
export function withPngText(
  png: Buffer,
  entries: readonly (readonly [keyword: string, text: string])[],
): Buffer {
  const chunks = entries.map(([keyword, text]) => textChunk(keyword, text));
  return Buffer.concat([png.subarray(0, HEADER_END), ...chunks, png.subarray(HEADER_END)]);
}

/** Length of the signature (8 bytes) and the IHDR chunk (length, type, 13 bytes, checksum). */
const HEADER_END = 8 + 4 + 4 + 13 + 4;

function textChunk(keyword: string, text: string): Buffer {
  const content = Buffer.from(`tEXt${keyword}\0${asciiJson(text)}`, 'latin1');
  const chunk = Buffer.alloc(content.length + 8);
  chunk.writeUInt32BE(content.length - 4, 0);
  content.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(content), content.length + 4);
  return chunk;
}

/** Escapes non-ASCII characters in JSON text, like Python: a `tEXt` chunk cannot contain them. */
function asciiJson(text: string): string {
  return text.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
