import { redactUrl } from '../http/redact.ts';
import { mkdir, open, writeFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import pRetry, { AbortError } from 'p-retry';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import { isLink, type Image } from './images.ts';

export interface SavedImage {
  readonly filename: string;
  readonly path: string;
  readonly bytes: number;
}

export interface SaveOptions {
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Files of the same name are written over; otherwise the new one gets a number. */
  readonly overwrite?: boolean;
}

export interface Saving {
  readonly saved: readonly SavedImage[];
  /** One line for each image that could not be saved. */
  readonly problems: readonly string[];
}

/** Creates the folder images are to go into. @throws WorkerError `usage.invalid`. */
export async function openFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const why = describeError(error);
    throw new WorkerError('usage.invalid', `Images cannot be saved in ${folder}: ${why}`);
  }
}

/** One after the other, so that the numbers of equal names follow the order of the result. Never outside of the folder. */
export async function saveImages(images: readonly Image[], options: SaveOptions): Promise<Saving> {
  const saved: SavedImage[] = [];
  const problems: string[] = [];
  for (const image of images) {
    try {
      saved.push(await saveImage(image, options));
    } catch (error) {
      options.signal.throwIfAborted();
      problems.push(`${image.filename} is not saved: ${describeError(error)}`);
    }
  }
  return { saved, problems };
}

async function saveImage(image: Image, options: SaveOptions): Promise<SavedImage> {
  const bytes = isLink(image) ? await fetchBytes(image.data, options.signal) : decode(image);
  const path = await write(join(options.folder, safeName(image.filename)), bytes, options);
  return { filename: image.filename, path, bytes: bytes.length };
}

/** Bare base64, or a data URI. */
function decode({ data }: Image): Buffer {
  return Buffer.from(data.replace(/^data:[^,]*,/, ''), 'base64');
}

function fetchBytes(url: string, signal: AbortSignal): Promise<Buffer> {
  return pRetry(() => fetchOnce(url, signal), { retries: 3, minTimeout: 300, signal });
}

async function fetchOnce(url: string, signal: AbortSignal): Promise<Buffer> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
  const response = await fetch(url, { signal: inTime });
  if (response.ok) return Buffer.from(await response.arrayBuffer());
  await response.body?.cancel();
  const refused = new Error(`[GET] ${redactUrl(url)}: ${response.status} ${response.statusText}`);
  throw response.status >= 500 || response.status === 429 ? refused : new AbortError(refused);
}

async function write(path: string, bytes: Buffer, { overwrite }: SaveOptions): Promise<string> {
  if (overwrite) {
    await writeFile(path, bytes);
    return path;
  }
  for (let number = 1; number <= MOST_NUMBERS; number++) {
    const free = number === 1 ? path : numbered(path, number);
    if (await writeNew(free, bytes)) return free;
  }
  throw new Error(`${path} and ${MOST_NUMBERS} files with numbers are there already`);
}

/** False when there is a file of that name. */
async function writeNew(path: string, bytes: Buffer): Promise<boolean> {
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(bytes);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

function numbered(path: string, number: number): string {
  const { dir, name, ext } = parse(path);
  return join(dir, `${name}-${number}${ext}`);
}

/** The last part of a name, whichever system made it, without what no file may be called. */
function safeName(filename: string): string {
  const last = filename.split(/[\\/]/).at(-1) ?? '';
  const plain = last.replace(/[\u0000-\u001f\u007f<>:"|?*]/g, '_').replace(/^\.+/, '');
  return plain.slice(-MOST_CHARACTERS) || 'image';
}

const FETCH_TIMEOUT_MS = 300_000;
const MOST_NUMBERS = 10_000;
const MOST_CHARACTERS = 200;
