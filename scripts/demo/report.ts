import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Timings } from '../../handler/stopwatch.ts';
import type { LocalResult } from '../../lib/runpod/local-queue.ts';

interface Item {
  readonly filename: string;
  readonly type: string;
  readonly data: string;
}

/** Writes the images of a result into `folder`. @returns their paths, with sizes. */
export async function saveImages(result: LocalResult, folder: string): Promise<string[]> {
  const images = itemsOf(result).filter(({ type }) => type === 'base64');
  await mkdir(folder, { recursive: true });
  return Promise.all(
    images.map(async ({ filename, data }) => {
      const bytes = Buffer.from(data, 'base64');
      const path = join(folder, basename(filename));
      await writeFile(path, bytes);
      return `${path}  (${kilobytes(bytes.length)})`;
    }),
  );
}

/** The result with its long texts replaced by their sizes: what a client sees, on one screen. */
export function shapeOf({ text }: LocalResult): string {
  return JSON.stringify(JSON.parse(text, shorten), undefined, 2);
}

export function phases(timings: Timings): string {
  return Object.entries(timings)
    .map(([phase, ms]) => `${phase} ${ms.toFixed(ms < 10 ? 1 : 0)} ms`)
    .join('  ·  ');
}

function itemsOf({ output }: LocalResult): readonly Item[] {
  const images: unknown = output?.get('images')?.value();
  return Array.isArray(images) ? (images as Item[]) : [];
}

function shorten(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || value.length < 200) return value;
  return `${value.slice(0, 16)}... (${kilobytes(value.length)})`;
}

function kilobytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1000))} kB`;
}
