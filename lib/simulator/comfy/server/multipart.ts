import { randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

/** Streaming parser for `multipart/form-data` (RFC 7578). It buffers only a part's head and a possible boundary. */

export type FormToken =
  | { readonly kind: 'part'; readonly name: string; readonly filename: string | undefined }
  /** The next bytes of the last part. */
  | { readonly kind: 'data'; readonly bytes: Buffer };

/** @throws TypeError when the content type has no boundary. */
export function boundaryOf(contentType: string): string {
  const [, quoted, plain] = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType) ?? [];
  const boundary = quoted ?? plain;
  if (boundary === undefined) throw new TypeError('The form has no boundary');
  return boundary;
}

/** @throws TypeError when the form ends before its last boundary, after `source` has been read to its end. */
export async function* readForm(
  source: AsyncIterable<Buffer>,
  boundary: string,
): AsyncGenerator<FormToken> {
  const reader = new FormReader(boundary);
  for await (const chunk of source) yield* reader.read(chunk);
  if (!reader.isComplete) throw new TypeError('The form ends too early');
}

/**
 * ```
 * preamble ──boundary──► head ──blank line──► body ──boundary──► head ...
 *                          └──"--"──► end
 * ```
 */
class FormReader {
  readonly #boundary: Buffer;
  #state: 'preamble' | 'head' | 'body' | 'end' = 'preamble';
  /** Bytes not parsed yet. It starts with a line break, because the first boundary may be the first line. */
  #window = Buffer.from('\r\n');

  constructor(boundary: string) {
    this.#boundary = Buffer.from(`\r\n--${boundary}`);
  }

  get isComplete(): boolean {
    return this.#state === 'end';
  }

  *read(chunk: Buffer): Generator<FormToken> {
    this.#window = Buffer.concat([this.#window, chunk]);
    for (let more = true; more;)
      more = this.#state === 'head' ? yield* this.#head() : yield* this.#body();
  }

  /** @returns whether there is more to parse. */
  *#head(): Generator<FormToken, boolean> {
    if (this.#window.length < 2) return false;
    if (this.#window.toString('latin1', 0, 2) === '--') {
      this.#state = 'end';
      return true;
    }
    const end = this.#window.indexOf('\r\n\r\n');
    if (end < 0) return false;
    yield { kind: 'part', ...readDisposition(this.#window.toString('utf8', 0, end)) };
    this.#window = this.#window.subarray(end + 4);
    this.#state = 'body';
    return true;
  }

  *#body(): Generator<FormToken, boolean> {
    const at = this.#state === 'end' ? -1 : this.#window.indexOf(this.#boundary);
    const end = at < 0 ? Math.max(0, this.#window.length - this.#boundary.length + 1) : at;
    if (this.#state === 'body' && end > 0) {
      yield { kind: 'data', bytes: this.#window.subarray(0, end) };
    }
    this.#window = this.#window.subarray(at < 0 ? end : at + this.#boundary.length);
    if (at >= 0) this.#state = 'head';
    return at >= 0;
  }
}

/**
 * The part's name and file name. Backslash escapes and `filename*` are decoded. As in aiohttp, slashes before the file
 * name are dropped, and a part with an empty one is a text field.
 */
function readDisposition(head: string): { name: string; filename: string | undefined } {
  const line = /^content-disposition:(.*)$/im.exec(head)?.[1] ?? '';
  const values = new Map<string, string>();
  for (const [, key = '', quoted, plain] of line.matchAll(PARAMETER)) {
    values.set(key.toLowerCase(), quoted?.replace(/\\(.)/gs, '$1') ?? plain ?? '');
  }
  const extended = values.get('filename*')?.replace(/^utf-8'[^']*'/i, '');
  const filename = extended === undefined ? values.get('filename') : decodeURIComponent(extended);
  const bare = filename?.replace(/^[\\/]+/, '');
  return { name: values.get('name') ?? '', filename: bare === '' ? undefined : bare };
}

const PARAMETER = /;\s*([\w*]+)=(?:"((?:\\.|[^"\\])*)"|([^;\s]*))/g;

/** A received form. Its files are on disk; disposing of it deletes them. */
export interface ReceivedForm extends AsyncDisposable {
  /** Text fields; of two with the same name, the first. */
  readonly texts: ReadonlyMap<string, string>;
  readonly files: ReadonlyMap<string, ReceivedFile>;
}

interface ReceivedFile {
  /** The name the client sent. */
  readonly filename: string;
  /** Valid until the form is disposed of, or the file is moved. */
  readonly path: string;
}

/** Reads the whole form and writes parts with a file name to files in `folder`. */
export async function receiveForm(
  source: AsyncIterable<Buffer>,
  { boundary, folder }: { readonly boundary: string; readonly folder: string },
): Promise<ReceivedForm> {
  const form = new Form(folder);
  try {
    for await (const token of readForm(source, boundary)) {
      if (token.kind === 'part') await form.begin(token.name, token.filename);
      else await form.add(token.bytes);
    }
    await form.end();
    return form;
  } catch (error) {
    await form[Symbol.asyncDispose]();
    throw error;
  }
}

class Form implements ReceivedForm {
  readonly texts = new Map<string, string>();
  readonly files = new Map<string, ReceivedFile>();
  readonly #folder: string;
  readonly #paths: string[] = [];
  #file: FileHandle | undefined;
  #text: { readonly name: string; readonly pieces: Buffer[] } | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async begin(name: string, filename: string | undefined): Promise<void> {
    await this.end();
    if (filename === undefined) {
      this.#text = { name, pieces: [] };
      return;
    }
    const path = join(this.#folder, `.upload-${randomUUID()}`);
    this.#paths.push(path);
    this.#file = await open(path, 'wx');
    if (!this.files.has(name)) this.files.set(name, { filename, path });
  }

  async add(bytes: Buffer): Promise<void> {
    this.#text?.pieces.push(Buffer.from(bytes));
    await this.#file?.writeFile(bytes);
  }

  /** Ends the current part. */
  async end(): Promise<void> {
    const text = this.#text;
    this.#text = undefined;
    if (text && !this.texts.has(text.name)) {
      this.texts.set(text.name, Buffer.concat(text.pieces).toString());
    }
    await this.#closeFile();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#closeFile();
    await Promise.all(this.#paths.map((path) => rm(path, { force: true })));
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }
}
