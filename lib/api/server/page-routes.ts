import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { extname, sep } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import mime from 'mime';
import { errnoOf } from '../../errors.ts';

interface PageFile {
  /** Path of the URL, without the slash in front. */
  readonly name: string;
  readonly bytes: Buffer;
  readonly type: string;
  readonly etag: string;
}

/**
 * Serves the web page, from the sources and from `dist` alike. All files are read once at the start and each gets its own route,
 * so no URL can lead outside of the folder.
 */
export async function addPageRoutes(app: FastifyInstance): Promise<void> {
  const options = { config: { isPublic: true }, schema: { hide: true } };
  for (const file of await readPage()) {
    const urls = file.name === 'index.html' ? ['/', '/index.html'] : [`/${file.name}`];
    for (const url of urls) {
      app.get(url, options, (request, reply) => sendFile(request, reply, file));
    }
  }
}

function sendFile(request: FastifyRequest, reply: FastifyReply, file: PageFile): FastifyReply {
  void reply.headers({ ...PAGE_HEADERS, etag: file.etag });
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
  return reply.type(file.type).send(file.bytes);
}

/** Empty when the page was not installed. */
async function readPage(): Promise<PageFile[]> {
  try {
    const paths = await readdir(PAGE_FOLDER, { recursive: true });
    const names = paths.map((path) => path.replaceAll(sep, '/')).filter(isServed);
    return await Promise.all(names.map((name) => readPageFile(name)));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readPageFile(name: string): Promise<PageFile> {
  const shared = SHARED_MODULES[name];
  const bytes = await (shared ? readModule(shared) : readFile(new URL(name, PAGE_FOLDER)));
  const type = mime.getType(name) ?? 'application/octet-stream';
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  return {
    name,
    bytes,
    type: /^text|javascript|json/.test(type) ? `${type}; charset=utf-8` : type,
    etag,
  };
}

/** A module of the worker as JavaScript: in `dist` the compiled file, in development the source without its types. */
async function readModule(path: string): Promise<Buffer> {
  if (!import.meta.url.endsWith('.ts')) return readFile(new URL(`${path}.js`, LIB_FOLDER));
  const source = await readFile(new URL(`${path}.ts`, LIB_FOLDER), 'utf8');
  const javaScript = stripTypeScriptTypes(source);
  return Buffer.from(javaScript.replaceAll(/^(import .* from '\..*)\.ts';$/gm, "$1.js';"));
}

/**
 * Modules that page and worker share, by the name under which the page imports them. They lie as they do in `lib`, so they may
 * import each other, and no other modules.
 */
const SHARED_MODULES: Readonly<Record<string, string>> = {
  'shared/json.js': 'json',
  'shared/json-scan.js': 'json-scan',
  'shared/long-strings.js': 'long-strings',
  'shared/workflow/recognise.js': 'workflow/recognise',
};

const PAGE_FOLDER = new URL('../page/', import.meta.url);
const LIB_FOLDER = new URL('../../', import.meta.url);

const isServed = (name: string): boolean => SERVED.has(extname(name)) && name !== 'tsconfig.json';

const SERVED: ReadonlySet<string> = new Set(['.html', '.css', '.js', '.json', '.svg', '.png']);

/** The page loads everything from this server, and no other page may frame it. Browsers revalidate each time by ETag. */
const PAGE_HEADERS = {
  'cache-control': 'no-cache',
  'content-security-policy': [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob: data:",
    "media-src 'self' blob: data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; '),
  'referrer-policy': 'no-referrer',
};
