import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Dispatcher } from 'undici';
import { answerFailure } from '../http/failure.ts';
import { USER_AGENT } from '../version.ts';
import { authFor, authorize, type Credential } from './credentials.ts';
import { disconnected, failed, refused } from './download-error.ts';

/** The part of a file that a server sends: all of it, or the bytes from `offset` on. */
export interface FilePart {
  readonly body: Readable;
  readonly offset: number;
  /** The server answered the request for a part of the file (206). */
  readonly isPartial: boolean;
  /** Bytes of the whole file, if the server says. */
  readonly total?: number | undefined;
  /** Strong ETag of the file. Without one the download cannot be resumed. */
  readonly etag?: string | undefined;
  readonly mediaType?: string | undefined;
  /** The name the server suggests for the file. */
  readonly filename?: string | undefined;
}

/** The bytes to send: those from `offset` on, of the file with this ETag. Without an ETag and `end`: the whole file. */
export interface Resume {
  readonly offset: number;
  readonly etag: string | undefined;
  /** The first byte that is not wanted; by default all are wanted. */
  readonly end?: number;
}

type Headers = Dispatcher.ResponseData['headers'];

/** Peculiarities of a site that files are downloaded from. */
export interface SiteRules {
  /** Further headers for a request. */
  readonly headers?: (url: URL) => Readonly<Record<string, string>>;
  /** Sees each redirect before it is followed, and may refuse it by throwing. */
  readonly onRedirect?: (headers: Headers, from: URL, to: URL) => void;
  /** The meaning of an answer with an error status, which is then final; undefined if there is no more to say than the status. */
  readonly explain?: (statusCode: number, headers: Headers, url: URL) => string | undefined;
}

interface HttpOptions {
  /** Connects to public addresses only. It checks every redirect anew. */
  readonly agent: Dispatcher;
  readonly credentials: readonly Credential[];
  /** Silence in milliseconds after which the attempt is given up. */
  readonly idleTimeoutMs: number;
  readonly signal: AbortSignal;
  readonly rules?: SiteRules;
}

/**
 * Requests a file, or the rest of it. Redirects are followed here and not by undici: each is a request of its own, to an
 * address that is checked, with the credentials for that URL and no others.
 * @throws WorkerError `input.download_refused`, or `input.download_failed` if another attempt may help.
 */
export async function openHttp(
  start: URL,
  resume: Resume,
  options: HttpOptions,
): Promise<FilePart> {
  let url = start;
  for (let hops = 0; hops <= MAX_REDIRECTS; hops++) {
    const answer = await request(url, resume, options);
    const { statusCode } = answer;
    if (statusCode === 200 || statusCode === 206) return toFilePart(answer, url);
    if (statusCode === 416 && resume.etag !== undefined) {
      // The server has fewer bytes than are here, so what it sent before was wrong: start anew.
      discard(answer.body);
      return await openHttp(start, { offset: 0, etag: undefined }, options);
    }
    const target = maybeRedirect(answer, url);
    if (!target) {
      const explained = options.rules?.explain?.(statusCode, answer.headers, url);
      const { reason, isTransient, retryAfterMs } = await answerFailure(answer);
      if (explained !== undefined) throw refused(url, `${reason}: ${explained}`);
      if (statusCode === 401 || statusCode === 403)
        throw refused(url, `${reason}; what lets us in goes into input.credentials`);
      throw isTransient ? failed(url, reason, { retryAfterMs }) : refused(url, reason);
    }
    discard(answer.body);
    options.rules?.onRedirect?.(answer.headers, url, target);
    url = target;
  }
  throw refused(start, `it redirects more than ${MAX_REDIRECTS} times`);
}

async function request(
  url: URL,
  { offset, etag, end }: Resume,
  { agent, credentials, idleTimeoutMs, signal, rules }: HttpOptions,
): Promise<Dispatcher.ResponseData> {
  const authorized = authorize(url, authFor(url, credentials));
  try {
    return await agent.request({
      method: 'GET',
      origin: authorized.url.origin,
      path: authorized.url.pathname + authorized.url.search,
      headers: {
        'user-agent': USER_AGENT,
        accept: '*/*',
        'accept-encoding': 'identity',
        ...(etag === undefined && end === undefined
          ? {}
          : { range: `bytes=${offset}-${end === undefined ? '' : end - 1}` }),
        ...(etag === undefined ? {} : { 'if-range': etag }),
        ...rules?.headers?.(url),
        ...authorized.headers,
      },
      headersTimeout: idleTimeoutMs,
      bodyTimeout: idleTimeoutMs,
      signal,
    });
  } catch (error) {
    throw signal.aborted ? signal.reason : disconnected(url, error);
  }
}

function maybeRedirect(
  { statusCode, headers }: Dispatcher.ResponseData,
  from: URL,
): URL | undefined {
  const location = headerOf(headers, 'location');
  if (!REDIRECTS.has(statusCode) || location === undefined) return undefined;
  const to = URL.parse(location, from.href);
  if (!to) throw refused(from, 'it redirects to something that is no URL');
  if (to.protocol === 'https:' || to.protocol === from.protocol) return to;
  throw refused(
    from,
    `it redirects from ${from.protocol}// to ${to.protocol}//, which is not followed`,
  );
}

/** Closes the connection instead of reading the body to its end. */
export function discard(body: Readable): void {
  body.on('error', () => undefined).destroy();
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 10;

/** Reads the headers of an answer with status 200 or 206. */
function toFilePart({ statusCode, headers, body }: Dispatcher.ResponseData, url: URL): FilePart {
  const notEmpty = (text: string | undefined) => (text === '' ? undefined : text);
  const about = {
    mediaType: notEmpty(headerOf(headers, 'content-type')?.split(';')[0]?.trim().toLowerCase()),
    filename: notEmpty(filenameIn(headerOf(headers, 'content-disposition') ?? '')),
  };
  const encoding = headerOf(headers, 'content-encoding')?.toLowerCase() ?? 'identity';
  if (encoding !== 'identity')
    return { ...about, offset: 0, isPartial: false, body: decoded(body, encoding, url) };

  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerOf(headers, 'content-range') ?? '');
  const isPartial = statusCode === 206;
  if (isPartial && !range) throw failed(url, 'the server sent a part without saying which');
  const total = isPartial ? range?.[2] : headerOf(headers, 'content-length');
  const etag = headerOf(headers, 'etag');
  return {
    ...about,
    body,
    isPartial,
    offset: isPartial ? Number(range?.[1]) : 0,
    total: total !== undefined && /^\d+$/.test(total) ? Number(total) : undefined,
    // A weak ETag says that two files mean the same, not that their bytes are equal.
    etag: etag?.startsWith('"') ? etag : undefined,
  };
}

/** The request asks for no compression, but some stores keep files compressed and send them so. */
function decoded(body: Readable, encoding: string, url: URL): Readable {
  const create = DECODERS[encoding];
  if (!create) {
    discard(body);
    throw refused(url, `the server sends it in the encoding "${encoding.slice(0, 40)}"`);
  }
  // The reader of the decoder sees the errors of both streams.
  return pipeline(body, create(), () => undefined);
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** The file name in a Content-Disposition header (RFC 6266). The form with a character set wins. */
function filenameIn(disposition: string): string | undefined {
  const [, encoded] = /filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(disposition) ?? [];
  const [, quoted, bare] =
    /filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))/i.exec(disposition) ?? [];
  try {
    return encoded === undefined ? (quoted ?? bare) : decodeURIComponent(encoded);
  } catch {
    return quoted ?? bare;
  }
}

export function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}
