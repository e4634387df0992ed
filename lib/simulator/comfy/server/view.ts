import { stat } from 'node:fs/promises';
import { basename, isAbsolute, resolve } from 'node:path';
import sharp from 'sharp';
import { empty, type Answer, type Exchange } from './answers.ts';
import { answerFile, contentTypeOf, isDangerous, SCRIPTED_TYPES } from './file-answer.ts';
import { isInside, splitAnnotation } from '../folders.ts';
import { openImage } from '../nodes/images/open-image.ts';
import type { Folders } from '../nodes/node.ts';
import type { Profile } from '../profile.ts';

/** `GET /view`: a file unchanged, compressed (`preview`), or with some of its channels (`channel`). */
export async function viewFile({ comfy, query, headers }: Exchange): Promise<Answer> {
  const found = await findFile(query, comfy.catalogue.host.folders);
  if ('status' in found) return found;
  const { path, name } = found;
  const shown = await maybePicture(path, query);
  if (shown) {
    const disposition = { 'content-disposition': latin1(`filename="${name}"`) };
    return { ...shown, headers: { ...shown.headers, ...disposition } };
  }
  return answerFile(path, fileHeaders(name, headers['sec-fetch-dest'], comfy.profile), headers);
}

async function findFile(
  query: URLSearchParams,
  folders: Folders,
): Promise<Answer | { readonly path: string; readonly name: string }> {
  const filename = query.get('filename');
  if (filename === null) return empty(404);
  const { name: plain, type = query.get('type') ?? 'output' } = splitAnnotation(filename);
  if (plain === '' || plain.startsWith('/') || plain.includes('..')) return empty(400);
  const root = Object.hasOwn(folders, type) ? folders[type as keyof Folders] : undefined;
  if (root === undefined) return empty(400);
  const subfolder = query.get('subfolder') ?? '';
  if (!isInside(root, resolve(root, subfolder))) return empty(403);
  const name = basename(plain);
  // Not normalized: a folder that does not exist is an error even before `..`.
  const path = [isAbsolute(subfolder) ? '' : root, subfolder, name].join('/');
  const isFile = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  return isFile ? { path, name } : empty(404);
}

async function maybePicture(path: string, query: URLSearchParams): Promise<Answer | undefined> {
  const preview = query.get('preview');
  const channel = query.get('channel') ?? 'rgba';
  if (preview !== null) return previewOf(path, preview, query.get('channel') ?? '');
  if (channel === 'rgb') {
    const image = await openImage(path);
    return picture('png', await image.removeAlpha().png({ compressionLevel: 4 }).toBuffer());
  }
  return channel === 'a' ? picture('png', await alphaOf(path)) : undefined;
}

/**
 * `webp;50` or `jpeg;80`. An unknown format means webp, and so does a channel with alpha; the default quality is 90.
 * @throws RangeError for a quality that WebP does not know; ComfyUI answers 500.
 */
async function previewOf(path: string, preview: string, channel: string): Promise<Answer> {
  const parts = preview.split(';');
  const format = parts[0] === 'jpeg' && !channel.includes('a') ? 'jpeg' : 'webp';
  const last = parts.at(-1) ?? '';
  const quality = /^\d+$/.test(last) ? Number(last) : 90;
  if (format === 'webp' && quality > 100) throw new RangeError('WebP knows no such quality');
  const image = await openImage(path);
  if (channel === 'rgb') image.removeAlpha();
  const options = { quality: Math.min(100, Math.max(1, quality)) };
  return picture(format, await image.toFormat(format, options).toBuffer());
}

async function alphaOf(path: string): Promise<Buffer> {
  const image = (await openImage(path)).ensureAlpha();
  const alpha = await image.extractChannel('alpha').raw().toBuffer({ resolveWithObject: true });
  const { width, height } = alpha.info;
  const black = { width, height, channels: 3 as const, background: { r: 0, g: 0, b: 0 } };
  return sharp({ create: black })
    .joinChannel(alpha.data, { raw: { width, height, channels: 1 } })
    .png()
    .toBuffer();
}

function picture(format: string, body: Buffer): Answer {
  return { status: 200, headers: { 'content-type': `image/${format}` }, body };
}

/** A browser must not execute a file, except an SVG inside an `<img>`, where scripts do not run. */
function fileHeaders(
  name: string,
  destination: string | undefined,
  { guardsFiles }: Profile,
): Record<string, string> {
  const type = contentTypeOf(name);
  if (!guardsFiles) {
    const isActive = SCRIPTED_TYPES.has(type);
    const safe = isActive ? 'application/octet-stream' : type;
    return { 'content-disposition': latin1(`filename="${name}"`), 'content-type': safe };
  }
  const disposition = latin1(`filename="${name.replace(/["\\]/g, '\\$&')}"`);
  const nosniff = { 'x-content-type-options': 'nosniff' };
  if (!isDangerous(type)) {
    return { ...nosniff, 'content-disposition': disposition, 'content-type': type };
  }
  const uncached = { vary: 'Sec-Fetch-Dest', 'cache-control': 'no-store' };
  const isPicture = destination === 'image' && type === 'image/svg+xml';
  return {
    ...nosniff,
    ...uncached,
    'content-disposition': isPicture ? disposition : `attachment; ${disposition}`,
    'content-type': isPicture ? type : 'application/octet-stream',
  };
}

/** Header values are bytes; ComfyUI sends file names as UTF-8. */
const latin1 = (text: string) => Buffer.from(text).toString('latin1');
