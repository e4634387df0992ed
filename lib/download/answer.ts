import { pipeline, type Readable, type Transform } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Dispatcher } from 'undici';
import type { WorkerError } from '../errors.ts';
import { answerFailure } from '../http/failure.ts';
import { failed, refused } from './refusal.ts';

/** What a server gives of a file: all of it, or what follows the first `offset` bytes. */
export interface Part {
  readonly body: Readable;
  readonly offset: number;
  /** Bytes of the whole file, when the server tells. */
  readonly total?: number;
  /** By which the rest can be asked for later: the file must still be the same. */
  readonly version?: string;
  readonly mediaType?: string;
  /** As the server would like it to be called. */
  readonly filename?: string;
}

/** Reads the head of an answer with 200 or 206. */
export function toPart({ statusCode, headers, body }: Dispatcher.ResponseData, url: URL): Part {
  const encoding = headerOf(headers, 'content-encoding')?.toLowerCase() ?? 'identity';
  const about = {
    ...maybe('mediaType', headerOf(headers, 'content-type')?.split(';')[0]?.trim().toLowerCase()),
    ...maybe('filename', filenameIn(headerOf(headers, 'content-disposition') ?? '')),
  };
  if (encoding !== 'identity') return { ...about, offset: 0, body: decoded(body, encoding, url) };
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headerOf(headers, 'content-range') ?? '');
  const isPart = statusCode === 206;
  if (isPart && !range) throw failed(url, 'the server sent a part without saying which');
  const offset = isPart ? Number(range?.[1]) : 0;
  const total = isPart ? range?.[2] : headerOf(headers, 'content-length');
  return {
    ...about,
    body,
    offset,
    ...(total === undefined || !/^\d+$/.test(total) ? {} : { total: Number(total) }),
    ...maybe('version', strongEtag(headerOf(headers, 'etag'))),
  };
}

/** The problem an answer without a file tells of; what is worth another try, and when, is told with it. */
export async function answerProblem(
  answer: Dispatcher.ResponseData,
  url: URL,
): Promise<WorkerError> {
  const { statusCode } = answer;
  const { reason, isTransient, retryAfterMs } = await answerFailure(answer);
  if (statusCode === 401 || statusCode === 403) {
    return refused(url, `${reason}; what lets us in goes into input.credentials`);
  }
  return isTransient ? failed(url, reason, { retryAfterMs }) : refused(url, reason);
}

/** Nobody asked for compression; some stores keep files compressed all the same. */
function decoded(body: Readable, encoding: string, url: URL): Readable {
  const create = DECODERS[encoding];
  if (!create) {
    body.on('error', () => undefined).destroy();
    throw refused(url, `the server sends it in the encoding "${encoding.slice(0, 40)}"`);
  }
  // An error of either reaches the reader of the decoder.
  return pipeline(body, create(), () => undefined);
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/** A weak one says that files mean the same, not that their bytes are. */
const strongEtag = (etag: string | undefined) => (etag?.startsWith('"') ? etag : undefined);

/** RFC 6266; the form with a character set wins. */
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

export function headerOf(
  headers: Dispatcher.ResponseData['headers'],
  name: string,
): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

function maybe<K extends string>(name: K, value: string | undefined): Partial<Record<K, string>> {
  return value === undefined || value === ''
    ? {}
    : ({ [name]: value } as Partial<Record<K, string>>);
}
