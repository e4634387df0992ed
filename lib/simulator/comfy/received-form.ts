import { randomUUID } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { readForm } from './multipart.ts';

/** A form of which the files lie on disk. */
export interface ReceivedForm extends AsyncDisposable {
  /** The first of each name. */
  readonly texts: ReadonlyMap<string, string>;
  readonly files: ReadonlyMap<string, ReceivedFile>;
}

interface ReceivedFile {
  /** As the client calls it. */
  readonly filename: string;
  /** Where it lies until the form is disposed of, unless somebody moves it away. */
  readonly path: string;
}

/** Reads all of `source`, and puts what has a file name into files in `folder`. */
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

  /** Ends the part that was begun last. */
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
