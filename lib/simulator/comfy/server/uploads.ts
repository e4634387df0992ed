import {
  existsSync,
  mkdirSync,
  renameSync,
  writeFileSync,
  closeSync,
  fstatSync,
  openSync,
  readSync,
} from 'node:fs';
import { parse, resolve } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { empty, json, type Answer, type Exchange } from './answers.ts';
import { isInside, splitAnnotation } from '../folders.ts';
import { boundaryOf, receiveForm, type ReceivedForm } from './multipart.ts';
import type { Folders } from '../nodes/node.ts';
import { readJson } from '../python/python-json.ts';
import { pyStr } from '../python/python-text.ts';

interface Upload {
  readonly filename: string;
  /** The received file. It is deleted when the request has been answered, unless it was moved. */
  readonly path: string;
  readonly type: string;
  readonly subfolder: string;
  readonly overwrite: boolean;
}

/** `POST /upload/image`. Any kind of file is accepted; its bytes are written to disk as they arrive. */
export async function uploadImage(exchange: Exchange): Promise<Answer> {
  await using form = await receive(exchange);
  const upload = form && readUpload(form);
  if (!upload) return empty(400);
  const { folders } = exchange.comfy.catalogue.host;
  return storeUpload(upload, folders, (path) => renameSync(upload.path, path));
}

/**
 * `POST /upload/mask`: the image named by `original_ref` gets the alpha channel of the uploaded one. If there is no such
 * image, nothing is written, and the answer is still 200.
 */
export async function uploadMask(exchange: Exchange): Promise<Answer> {
  await using form = await receive(exchange);
  const upload = form && readUpload(form);
  if (!form || !upload) return empty(400);
  const { folders } = exchange.comfy.catalogue.host;
  const original = findOriginal(form, folders);
  const masked = original && (await maskedImage(original, upload.path));
  return storeUpload(upload, folders, (path) => masked && writeFileSync(path, masked));
}

async function receive({ comfy, stream, headers }: Exchange): Promise<ReceivedForm | undefined> {
  const contentType = headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) return undefined;
  const { temp: folder } = comfy.catalogue.host.folders;
  return receiveForm(stream(), { boundary: boundaryOf(contentType), folder });
}

function readUpload({ texts, files }: ReceivedForm): Upload | undefined {
  if (texts.get('image')) throw new TypeError('The image is no file');
  const file = files.get('image');
  if (!file || file.filename === '') return undefined;
  return {
    ...file,
    type: texts.get('type') ?? 'input',
    subfolder: texts.get('subfolder') ?? '',
    overwrite: ['true', '1'].includes(texts.get('overwrite') ?? ''),
  };
}

/** Synchronous, as in ComfyUI: two uploads of the same name cannot interleave. */
function storeUpload(upload: Upload, folders: Folders, write: (path: string) => void): Answer {
  const root = folderOf(upload.type, folders);
  const folder = resolve(root, upload.subfolder);
  if (!isInside(root, resolve(folder, upload.filename))) return empty(400);
  mkdirSync(folder, { recursive: true });
  const { name, isDuplicate } = freeName(upload, folder);
  if (!isDuplicate) write(resolve(folder, name));
  return json({ name, subfolder: upload.subfolder, type: upload.type });
}

/** The file name, or `stem (1).ext` and so on: the first one that is free or has the same content. */
function freeName({ filename, path, overwrite }: Upload, folder: string) {
  const { name: stem, ext } = parse(filename);
  let name = filename;
  if (overwrite) return { name, isDuplicate: false };
  for (let at = 1; existsSync(resolve(folder, name)); at++) {
    if (haveSameBytes(resolve(folder, name), path)) return { name, isDuplicate: true };
    name = `${stem} (${at})${ext}`;
  }
  return { name, isDuplicate: false };
}

function folderOf(type: string, folders: Folders): string {
  if (type === 'input' || type === 'temp' || type === 'output') return folders[type];
  throw new TypeError(`There is no folder for the type ${type}`);
}

function findOriginal({ texts }: ReceivedForm, folders: Folders): string | undefined {
  const reference = readJson(texts.get('original_ref') ?? '');
  if (!(reference instanceof Map)) throw new TypeError('original_ref is no dict');
  const field = (name: string, absent: string) => pyStr(reference.get(name) ?? absent);
  const filename = reference.get('filename');
  if (typeof filename !== 'string') throw new TypeError('original_ref names no file');
  const { name, type = field('type', 'output') } = splitAnnotation(filename);
  if (name === '' || name.startsWith('/') || name.includes('..')) return undefined;
  const root = folders[type as keyof Folders] as string | undefined;
  if (root === undefined) return undefined;
  const path = resolve(root, field('subfolder', ''), name);
  return isInside(root, path) && existsSync(path) ? path : undefined;
}

async function maskedImage(original: string, mask: string): Promise<Buffer> {
  const alpha = await rawImage(sharp(mask).ensureAlpha().extractChannel('alpha'));
  const colours = await rawImage(sharp(original).toColourspace('srgb').removeAlpha());
  return sharp(colours.data, { raw: colours.info })
    .joinChannel(alpha.data, { raw: alpha.info })
    .png({ compressionLevel: 4 })
    .toBuffer();
}

const rawImage = (image: Sharp) => image.raw().toBuffer({ resolveWithObject: true });

/** Whether two files have the same content. Synchronous; reads both in chunks. */
function haveSameBytes(one: string, other: string): boolean {
  const files = [openSync(one, 'r'), openSync(other, 'r')] as const;
  try {
    if (fstatSync(files[0]).isDirectory()) throw new TypeError('A folder has this name');
    return fstatSync(files[0]).size === fstatSync(files[1]).size && compare(...files);
  } finally {
    files.forEach(closeSync);
  }
}

function compare(one: number, other: number): boolean {
  const [a, b] = [Buffer.alloc(PIECE_BYTES), Buffer.alloc(PIECE_BYTES)];
  for (;;) {
    const read = readSync(one, a);
    readSync(other, b);
    if (!a.subarray(0, read).equals(b.subarray(0, read))) return false;
    if (read < PIECE_BYTES) return true;
  }
}

const PIECE_BYTES = 256 * 1024;
