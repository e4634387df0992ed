import { mkdir, open, writeFile } from 'node:fs/promises';
import { join, parse } from 'node:path';
import { z } from 'zod';
import { systemClock } from '../clock.ts';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import { limitedResponse } from '../http/answer-limit.ts';
import { redactUrl } from '../http/redact.ts';
import { retry, RETRY_POLICIES } from '../http/retry.ts';
import { valueOf } from '../json-body.ts';
import type { EncodedResult } from '../queues/queue.ts';
import { USER_AGENT } from '../version.ts';

const ImageSchema = z.object({ filename: z.string(), type: z.string(), data: z.string() });

/** An image or other file of a result; `data` is base64 or a link. */
export type ResultImage = z.infer<typeof ImageSchema>;

const files = z.array(ImageSchema).optional().catch(undefined);

const OutputSchema = z.object({
  images: files,
  videos: files,
  audio: files,
  files,
  errors: z.array(z.string()).optional().catch(undefined),
  details: z.array(z.string()).optional().catch(undefined),
});

/** The files in an output, and the problems it reports beside them. */
export function readOutput(output: unknown): { images: ResultImage[]; problems: string[] } {
  const {
    images,
    videos,
    audio,
    files,
    errors = [],
    details = [],
  } = OutputSchema.safeParse(output).data ?? {};
  const all = [images, videos, audio, files].flatMap((some) => some ?? []);
  return { images: all, problems: [...errors, ...details] };
}

export function imagesOf({ output }: EncodedResult): ResultImage[] {
  return readOutput(output && valueOf(output)).images;
}

export const isLink = ({ data }: ResultImage): boolean => /^https?:\/\//i.test(data);

export interface SavedImage {
  readonly filename: string;
  readonly path: string;
  readonly bytes: number;
}

interface SaveOptions {
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Overwrites files of the same name; otherwise the new file gets a number. */
  readonly overwrite?: boolean;
}

/** Creates the folder for images. @throws WorkerError `usage.invalid`. */
export async function openFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    const why = describeError(error);
    throw new WorkerError('usage.invalid', `Images cannot be saved in ${folder}: ${why}`);
  }
}

/** Saves images one by one, so that equal names are numbered in the order of the result. Never writes outside of the folder. */
export async function saveImages(
  images: readonly ResultImage[],
  options: SaveOptions,
): Promise<{
  readonly saved: readonly SavedImage[];
  /** One line for each image that was not saved. */ readonly problems: readonly string[];
}> {
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

async function saveImage(image: ResultImage, options: SaveOptions): Promise<SavedImage> {
  const bytes = isLink(image) ? await fetchBytes(image.data, options.signal) : decode(image);
  const path = await write(join(options.folder, safeName(image.filename)), bytes, options);
  return { filename: image.filename, path, bytes: bytes.length };
}

/** Bare base64, or a data URI. */
function decode({ data }: ResultImage): Buffer {
  return Buffer.from(data.replace(/^data:[^,]*,/, ''), 'base64');
}

function fetchBytes(url: string, signal: AbortSignal): Promise<Buffer> {
  const isTransient = (error: unknown) =>
    !(error instanceof Refused) && errnoOf(error) !== 'EANSWER';
  const policy = RETRY_POLICIES.fetchResult;
  return retry(() => fetchOnce(url, signal), { policy, clock: systemClock, signal, isTransient });
}

/** Another attempt would fail, too. */
class Refused extends Error {}

async function fetchOnce(url: string, signal: AbortSignal): Promise<Buffer> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)]);
  const response = await fetch(url, { signal: inTime, headers: { 'user-agent': USER_AGENT } });
  if (response.ok) return Buffer.from(await limitedResponse(response, FILE).arrayBuffer());
  await response.body?.cancel();
  const { status, statusText } = response;
  const text = `[GET] ${redactUrl(url)}: ${status} ${statusText}`;
  throw status >= 500 || status === 429 ? new Error(text) : new Refused(text);
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

/** @returns false when the file exists. */
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

/** The last part of a path of any system, without characters that file names must not have. */
function safeName(filename: string): string {
  const last = filename.split(/[\\/]/).at(-1) ?? '';
  const plain = last.replace(/[\u0000-\u001f\u007f<>:"|?*]/g, '_').replace(/^\.+/, '');
  return plain.slice(-MOST_CHARACTERS) || 'image';
}

const FETCH_TIMEOUT_MS = 300_000;
/** A file is in memory before it is saved. */
const FILE = { maxBytes: 1024 * 1024 * 1024 };
const MOST_NUMBERS = 10_000;
const MOST_CHARACTERS = 200;
