import { Readable } from 'node:stream';
import { boundaryOf, readForm } from '../comfy/server/multipart.ts';
import {
  startStoreServer,
  type StoreAnswer,
  type StoreRequest,
  type StoreServer,
} from './store-server.ts';

interface PutFile {
  readonly bytes: Buffer;
  readonly size: number;
  readonly sha256: string;
  readonly mediaType: string;
  /** The form's fields before the file; empty for a PUT. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface PutTargetOptions {
  /** Files are counted and hashed, but not kept. */
  readonly forgetful?: boolean;
}

/**
 * A server that accepts files by PUT, and by POST as S3's browser forms send them. A request may write if its URL has
 * `?signature=good` or if it has an `authorization` header. Everybody may read.
 */
export interface PutTarget extends StoreServer {
  /** By path; for a form, the path plus its key. */
  readonly files: ReadonlyMap<string, PutFile>;
  /** A URL that allows writing. */
  signed(path: string): string;
}

export async function startPutTarget({
  forgetful = false,
}: PutTargetOptions = {}): Promise<PutTarget> {
  const files = new Map<string, PutFile>();
  const server = await startStoreServer({ forgetful, answer: (request) => answer(request, files) });
  const signed = (path: string) => `${server.url}${path}?signature=good`;
  return { ...server, files, signed };
}

async function answer(request: StoreRequest, files: Map<string, PutFile>): Promise<StoreAnswer> {
  const { method, path } = request;
  if (method === 'GET') return read(files.get(path));
  const form = method === 'POST' ? await readPosted(request) : undefined;
  const given = request.query.get('signature') ?? form?.fields.signature;
  if (given !== 'good' && request.headers.authorization === undefined) return SIGNATURE_REFUSED;
  if (method === 'PUT')
    files.set(path, { ...request, ...withMediaType(request), bytes: request.body, fields: {} });
  else if (form) files.set(`${path.replace(/\/$/, '')}/${form.key}`, form);
  else return { status: 405 };
  return { status: method === 'PUT' ? 200 : 204 };
}

function read(file: PutFile | undefined): StoreAnswer {
  if (!file) return { status: 404 };
  return { status: 200, headers: { 'content-type': file.mediaType }, body: file.bytes };
}

const withMediaType = ({ headers }: StoreRequest) => ({ mediaType: headers['content-type'] ?? '' });

/** The file is the last part, as S3 requires. */
async function readPosted({ headers, body, size, sha256 }: StoreRequest) {
  const boundary = boundaryOf(headers['content-type'] ?? '');
  const fields: Record<string, string> = {};
  const pieces: Buffer[] = [];
  let filename: string | undefined;
  let name = '';
  for await (const token of readForm(Readable.from([body]), boundary)) {
    if (token.kind === 'part') ({ name, filename } = token);
    else if (filename === undefined) fields[name] = (fields[name] ?? '') + token.bytes.toString();
    else pieces.push(Buffer.from(token.bytes));
  }
  const key = (fields.key ?? '').replaceAll('${filename}', filename ?? '');
  return { key, fields, bytes: Buffer.concat(pieces), size, sha256, mediaType: '' };
}

const SIGNATURE_REFUSED: StoreAnswer = {
  status: 403,
  headers: { 'content-type': 'application/xml' },
  body: '<Error><Code>SignatureDoesNotMatch</Code><StringToSign>secret</StringToSign></Error>',
};
