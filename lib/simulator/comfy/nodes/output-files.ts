/**
 * How ComfyUI names what it saves (`folder_paths.get_save_image_path`): the prefix may lead into a subfolder, and a
 * counter goes on from the highest one found there, so that numbers of deleted files are used again.
 */

import { mkdir, readdir } from 'node:fs/promises';
import { basename, dirname, join, normalize, resolve, sep } from 'node:path';
import { crc32 } from 'node:zlib';
import { PythonError } from '../python/python-text.ts';
import { JsonText } from '../../../json.ts';
import type { NodeContext } from './node.ts';

export interface OutputPlace {
  /** Absolute path of the folder, which exists now. */
  readonly folder: string;
  readonly subfolder: string;
  /** File names without extension, one for each call: `<name>_<counter>_`. */
  readonly nextName: (batchNumber: number) => string;
}

export interface PlaceOptions {
  readonly prefix: string;
  readonly width: number;
  readonly height: number;
  readonly now?: Date;
}

/**
 * Looks for the place when a node runs, not earlier: others may save in between.
 * @throws PythonError when the prefix leads out of `outputFolder`; ComfyUI notices that only now, too.
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

/** Local time, as on ComfyUI's host. `%date:...%` and the like belong to the browser and stay as they are. */
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

/** Any extension counts; `name_00007.png`, without the last underscore, does not. */
async function highestCounter(folder: string, name: string): Promise<number> {
  const counters = (await readdir(folder))
    .filter((entry) => entry.startsWith(`${name}_`))
    .map((entry) => /^(\d+)(?:_|$)/.exec(entry.slice(name.length + 1))?.[1] ?? 0);
  return counters.reduce<number>((highest, counter) => Math.max(highest, Number(counter)), 0);
}

/** The text is ComfyUI's own, which people search for. */
function refuseEscape(folder: string, outputFolder: string): void {
  if (folder === outputFolder || folder.startsWith(outputFolder + sep)) return;
  throw new PythonError(
    'Exception',
    [
      '**** ERROR: Saving image outside the output folder is not allowed.',
      ` full_output_folder: ${folder}`,
      `         output_dir: ${outputFolder}`,
      `         commonpath: ${commonFolder(folder, outputFolder)}`,
    ].join('\n'),
  );
}

function commonFolder(one: string, other: string): string {
  const parts = other.split(sep);
  const differs = one.split(sep).findIndex((part, at) => part !== parts[at]);
  return join(sep, ...parts.slice(0, differs < 0 ? parts.length : differs));
}

/** Where a file comes from: that it is simulated, its graph, and whatever the caller sent as `extra_pnginfo`. */
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
 * The PNG with a `tEXt` chunk for each entry, right behind its header, where ComfyUI puts a graph. sharp cannot write
 * them under names of one's own.
 */
export function withPngText(
  png: Buffer,
  entries: readonly (readonly [keyword: string, text: string])[],
): Buffer {
  const chunks = entries.map(([keyword, text]) => textChunk(keyword, text));
  return Buffer.concat([png.subarray(0, HEADER_END), ...chunks, png.subarray(HEADER_END)]);
}

/** Eight bytes of signature, then the IHDR chunk: length, type, 13 bytes, checksum. */
const HEADER_END = 8 + 4 + 4 + 13 + 4;

function textChunk(keyword: string, text: string): Buffer {
  const content = Buffer.from(`tEXt${keyword}\0${asciiJson(text)}`, 'latin1');
  const chunk = Buffer.alloc(content.length + 8);
  chunk.writeUInt32BE(content.length - 4, 0);
  content.copy(chunk, 4);
  chunk.writeUInt32BE(crc32(content), content.length + 4);
  return chunk;
}

/** JSON with everything but ASCII escaped, as Python writes it: a `tEXt` chunk cannot hold other characters. */
function asciiJson(text: string): string {
  return text.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
