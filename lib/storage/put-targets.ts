import pLimit from 'p-limit';
import { describeError } from '../errors.ts';
import { redactUrl } from '../http/redact.ts';
import type { Sender } from './sender.ts';
import type { Destination, Stored, StoredFile } from './storage.ts';

/** A URL the caller has signed, for one file. */
export interface PutTarget {
  readonly url: string;
  readonly method?: 'PUT' | 'POST' | undefined;
  /** Form fields that go before the file of a POST. With `${filename}` in its `key` a form takes any number of files. */
  readonly fields?: Readonly<Record<string, string>> | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** A file name, in which `*` stands for anything. */
  readonly match?: string | undefined;
  /** Place among the files of the job, from 0. */
  readonly index?: number | undefined;
}

export interface PutTargetsOptions {
  readonly sender: Sender;
  /** Uploads side by side. */
  readonly transfers: number;
}

/** URLs the caller has signed, given out to the files of a job; each is written once. */
export class PutTargets implements Destination {
  readonly name = 'output.put';
  readonly itemType = 'url';
  readonly #free: PutTarget[];
  readonly #options: PutTargetsOptions;

  constructor(targets: readonly PutTarget[], options: PutTargetsOptions) {
    this.#free = [...targets];
    this.#options = options;
  }

  async store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]> {
    const limit = pLimit(this.#options.transfers);
    const pairs = this.#assign(files);
    const stored = await Promise.all(
      files.map((file) => limit(() => this.#storeOne(file, pairs.get(file), signal))),
    );
    signal.throwIfAborted();
    return stored;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#options.sender[Symbol.asyncDispose]();
  }

  /** What names a file goes to that file; the rest is given out in order. */
  #assign(files: readonly StoredFile[]): ReadonlyMap<StoredFile, PutTarget> {
    const pairs = new Map<StoredFile, PutTarget>();
    for (const fits of [fitsIndex, fitsName, fitsAny]) {
      for (const file of files.filter((one) => !pairs.has(one))) {
        const target = this.#free.find((one) => fits(one, file));
        if (target) pairs.set(file, this.#take(target));
      }
    }
    return pairs;
  }

  #take(target: PutTarget): PutTarget {
    if (!takesMany(target)) this.#free.splice(this.#free.indexOf(target), 1);
    return target;
  }

  async #storeOne(
    file: StoredFile,
    target: PutTarget | undefined,
    signal: AbortSignal,
  ): Promise<Stored> {
    if (!target) return { problem: 'none of its URLs is left for this file, or meant for it' };
    const { sender } = this.#options;
    const { fields = {}, headers } = target;
    const url = new URL(target.url);
    try {
      if (isForm(target)) await sender.postForm({ url, headers, fields }, file, signal);
      else await sender.put({ url, headers }, file, signal);
      return { address: addressOf(target, file) };
    } catch (error) {
      return { problem: describeError(error) };
    }
  }
}

const fitsIndex = ({ index }: PutTarget, file: StoredFile) => index === file.index;

const fitsName = ({ index, match }: PutTarget, { filename }: StoredFile) =>
  index === undefined && match !== undefined && matches(match, filename);

const fitsAny = ({ index, match }: PutTarget) => index === undefined && match === undefined;

function matches(pattern: string, filename: string): boolean {
  const parts = pattern.split('*').map((part) => part.replace(/[\\^$.|?+()[\]{}]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`, 's').test(filename);
}

const isForm = ({ method, fields }: PutTarget) => method === 'POST' || fields !== undefined;

const takesMany = ({ fields }: PutTarget) => fields?.key?.includes(FILENAME) === true;

/** Without the signature, which is good for writing. */
function addressOf({ url, fields }: PutTarget, { uniqueName }: StoredFile): string {
  const shown = redactUrl(new URL(url));
  const key = fields?.key?.replaceAll(FILENAME, uniqueName);
  if (key === undefined) return shown;
  return `${shown.replace(/\/$/, '')}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

/** Stores put the name of the file there. */
const FILENAME = '${filename}';
