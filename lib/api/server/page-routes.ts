import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import mime from 'mime';
import { errnoOf } from '../../errors.ts';

interface PageFile {
  readonly name: string;
  readonly bytes: Buffer;
  readonly type: string;
  readonly etag: string;
}

/** Serves the files beside this module, from the sources and from `dist` alike. They are read once, so no path can lead elsewhere. */
export async function addPageRoutes(app: FastifyInstance): Promise<void> {
  for (const file of await readPage()) {
    const urls = file.name === 'index.html' ? ['/', '/index.html'] : [`/${file.name}`];
    for (const url of urls) {
      const options = { config: { isPublic: true }, schema: { hide: true } };
      app.get(url, options, (request, reply) => sendFile(request, reply, file));
    }
  }
}

function sendFile(request: FastifyRequest, reply: FastifyReply, file: PageFile): FastifyReply {
  void reply.headers({ ...PAGE_HEADERS, etag: file.etag });
  if (request.headers['if-none-match'] === file.etag) return reply.code(304).send();
  return reply.type(file.type).send(file.bytes);
}

async function readPage(): Promise<PageFile[]> {
  const folder = new URL('../page/', import.meta.url);
  const names = (await namesIn(folder)).filter(isServed);
  return Promise.all(names.map((name) => readPageFile(name, new URL(name, folder))));
}

async function namesIn(folder: URL): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

async function readPageFile(name: string, url: URL): Promise<PageFile> {
  const bytes = await readFile(url);
  const type = mime.getType(name) ?? 'application/octet-stream';
  const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`;
  return {
    name,
    bytes,
    type: /^text|javascript|json/.test(type) ? `${type}; charset=utf-8` : type,
    etag,
  };
}

const isServed = (name: string): boolean => SERVED.has(extname(name)) && name !== 'tsconfig.json';

const SERVED: ReadonlySet<string> = new Set(['.html', '.css', '.js', '.json', '.svg', '.png']);

/** Everything the page needs comes from here, and no other page may frame it. Asked again each time, answered 304. */
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
