import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { empty, json, type Answer, type Exchange } from './answers.ts';
import { answerFile, contentTypeOf } from './file-answer.ts';
import { isInside } from '../folders.ts';
import type { ComfyProcess } from '../process.ts';

/** The editor's page and the files it loads beside the API: its build, extensions, blueprints. */

const NEVER_STORED = {
  'cache-control': 'no-store, must-revalidate',
  pragma: 'no-cache',
  expires: '0',
};

/** The editor's page, or a page that says what answers here. */
export async function rootPage({ comfy, headers }: Exchange): Promise<Answer> {
  const given = { 'content-type': 'text/html', ...NEVER_STORED };
  if (comfy.frontEndRoot !== undefined) {
    return answerFile(join(comfy.frontEndRoot, 'index.html'), given, headers);
  }
  const page = '<!doctype html><title>Simulated ComfyUI</title><p>A simulated ComfyUI.\n';
  return { status: 200, headers: given, body: Buffer.from(page) };
}

/** A file of the editor's build, or 404. */
export async function editorFile(
  comfy: ComfyProcess,
  path: string,
  headers: Exchange['headers'],
): Promise<Answer> {
  const root = comfy.frontEndRoot;
  if (root === undefined) return notFound();
  const file = resolve(root, `.${decodeURIComponent(path)}`);
  const found = isInside(root, file) ? await stat(file).catch(() => undefined) : undefined;
  if (!found?.isFile()) return found ? empty(403) : notFound();
  const type = contentTypeOf(file);
  return answerFile(file, { 'content-type': type }, headers);
}

const notFound = (): Answer => ({
  ...empty(404),
  headers: { 'content-type': 'application/octet-stream' },
});

/** The cache headers of a path, whatever answers there (`cache_middleware.py`). */
export function cacheHeaders(path: string, status: number): Record<string, string> {
  if (/\.(?:js|css)$|\/index[^/]*\.json$/.test(path)) return { 'cache-control': 'no-store' };
  if (!/\.(?:jpe?g|png|ppm|bmp|pgm|tiff?|webp)$/i.test(path)) return {};
  if (status === 404) return { 'cache-control': 'public, max-age=3600' };
  return status < 300 ? { 'cache-control': 'public, max-age=86400' } : {};
}

/** Scripts under `extensions/` of the editor's build. */
export async function listExtensions({ comfy }: Exchange): Promise<Answer> {
  const root = comfy.frontEndRoot;
  if (root === undefined) return json([]);
  const folder = join(root, 'extensions');
  const options = { withFileTypes: true, recursive: true } as const;
  const entries = await readdir(folder, options).catch(() => []);
  const scripts = entries.filter((entry) => entry.isFile() && entry.name.endsWith('.js'));
  const paths = scripts.map(({ parentPath, name }) => relative(root, join(parentPath, name)));
  return json(paths.map((path) => `/${path.replaceAll(sep, '/')}`));
}

/** Subgraph blueprints, without their content. */
export function listBlueprints({ comfy }: Exchange): Answer {
  return json(new Map([...comfy.blueprints.keys()].map((name) => [idOf(name), describe(name)])));
}

export function findBlueprint({ comfy, id }: Exchange): Answer {
  const name = [...comfy.blueprints.keys()].find((one) => idOf(one) === id);
  if (name === undefined) return json(null);
  return json({ ...describe(name), data: comfy.blueprints.get(name) });
}

const describe = (name: string) => ({
  source: 'templates',
  name,
  info: { node_pack: 'comfyui' },
});

/** ComfyUI hashes the source and the file's path. */
const idOf = (name: string) =>
  createHash('sha256').update(`templates/comfyui/blueprints/${name}.json`).digest('hex');
