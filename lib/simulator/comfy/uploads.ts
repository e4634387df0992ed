import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, parse, resolve } from 'node:path';
import sharp, { type Sharp } from 'sharp';
import { empty, json, type Answer } from './answers.ts';
import { isInside } from './folders.ts';
import type { Folders } from './node.ts';
import { readJson } from './python-json.ts';
import { pyStr } from './python-text.ts';
import type { Exchange } from './routes.ts';

interface Upload {
  readonly file: File;
  readonly bytes: Buffer;
  readonly type: string;
  readonly subfolder: string;
  readonly overwrite: boolean;
  readonly form: FormData;
}

/** `POST /upload/image`. Any kind of file is taken. */
export async function uploadImage(exchange: Exchange): Promise<Answer> {
  const upload = await readUpload(exchange);
  if (!upload) return empty(400);
  return store(upload, exchange.comfy.catalogue.host.folders, (path) =>
    writeFileSync(path, upload.bytes),
  );
}

/**
 * `POST /upload/mask`: the picture `original_ref` names gets the alpha of the uploaded one. When there is no such
 * picture nothing is written, and the answer is 200 all the same.
 */
export async function uploadMask(exchange: Exchange): Promise<Answer> {
  const upload = await readUpload(exchange);
  if (!upload) return empty(400);
  const { folders } = exchange.comfy.catalogue.host;
  const original = findOriginal(upload.form, folders);
  const masked = original && (await maskedImage(readFileSync(original), upload.bytes));
  return store(upload, folders, (path) => masked && writeFileSync(path, masked));
}

async function readUpload({ body, headers }: Exchange): Promise<Upload | undefined> {
  const contentType = headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) return undefined;
  const response = new Response(new Uint8Array(await body()), {
    headers: { 'content-type': contentType },
  });
  // Deprecated for servers because it holds the whole body in memory; a body is at most 100 MiB here.
  // eslint-disable-next-line @typescript-eslint/no-deprecated
  const form = await response.formData();
  const file = form.get('image');
  if (file === null) return undefined;
  if (typeof file === 'string') throw new TypeError('The image is no file');
  if (file.name === '') return undefined;
  return {
    file,
    bytes: Buffer.from(await file.arrayBuffer()),
    type: textField(form, 'type') ?? 'input',
    subfolder: textField(form, 'subfolder') ?? '',
    overwrite: ['true', '1'].includes(textField(form, 'overwrite') ?? ''),
    form,
  };
}

function textField(form: FormData, name: string): string | undefined {
  const value = form.get(name);
  return typeof value === 'string' ? value : undefined;
}

/** Runs without a pause, as ComfyUI's handler does: two uploads of one name cannot get in each other's way. */
function store(upload: Upload, folders: Folders, write: (path: string) => void): Answer {
  const root = folderOf(upload.type, folders);
  const folder = join(root, upload.subfolder);
  if (!isInside(root, resolve(folder, upload.file.name))) return empty(400);
  mkdirSync(folder, { recursive: true });
  const { name, isDuplicate } = freeName(upload, folder);
  if (!isDuplicate) write(resolve(folder, name));
  return json({ name, subfolder: upload.subfolder, type: upload.type });
}

/** The name itself, or `stem (1).ext` and so on: the first that is free, or holds the same bytes. */
function freeName({ file, bytes, overwrite }: Upload, folder: string) {
  const { name: stem, ext } = parse(file.name);
  let name = file.name;
  if (overwrite) return { name, isDuplicate: false };
  for (let at = 1; existsSync(resolve(folder, name)); at++) {
    if (readFileSync(resolve(folder, name)).equals(bytes)) return { name, isDuplicate: true };
    name = `${stem} (${at})${ext}`;
  }
  return { name, isDuplicate: false };
}

function folderOf(type: string, folders: Folders): string {
  if (type === 'input' || type === 'temp' || type === 'output') return folders[type];
  throw new TypeError(`There is no folder for the type ${type}`);
}

function findOriginal(form: FormData, folders: Folders): string | undefined {
  const reference = readJson(textField(form, 'original_ref') ?? '');
  if (!(reference instanceof Map)) throw new TypeError('original_ref is no dict');
  const field = (name: string, absent: string) => pyStr(reference.get(name) ?? absent);
  const name = field('filename', '');
  if (name === '' || name.startsWith('/') || name.includes('..')) return undefined;
  const root = folders[field('type', 'output') as keyof Folders] as string | undefined;
  if (root === undefined) return undefined;
  const path = resolve(root, field('subfolder', ''), name);
  return isInside(root, path) && existsSync(path) ? path : undefined;
}

async function maskedImage(original: Buffer, mask: Buffer): Promise<Buffer> {
  const alpha = await rawImage(sharp(mask).ensureAlpha().extractChannel('alpha'));
  const colours = await rawImage(sharp(original).toColourspace('srgb').removeAlpha());
  return sharp(colours.data, { raw: colours.info })
    .joinChannel(alpha.data, { raw: alpha.info })
    .png({ compressionLevel: 4 })
    .toBuffer();
}

const rawImage = (image: Sharp) => image.raw().toBuffer({ resolveWithObject: true });
