import { z } from 'zod';
import { GlobSchema, matchesGlob } from '../glob.ts';
import { under } from '../http/base-url.ts';
import { redactUrl } from '../http/redact.ts';
import { Sender } from './sender.ts';
import {
  HeadersSchema,
  HttpUrlSchema,
  storeEach,
  toDestination,
  type Destination,
  type Storage,
  type Store,
  type StoreContext,
  type Stored,
  type StoredFile,
} from './storage.ts';

const HttpFolderSchema = z.strictObject({
  /** File names are appended to its path; a query stays at the end. */
  urlPrefix: HttpUrlSchema,
  headers: HeadersSchema.optional(),
});

export type HttpFolderSettings = z.infer<typeof HttpFolderSchema>;

/** Any server that takes files by PUT: WebDAV, an artifact store. */
export class HttpFolder implements Storage {
  readonly #settings: HttpFolderSettings;
  readonly #sender: Sender;

  constructor(settings: HttpFolderSettings, sender: Sender) {
    this.#settings = settings;
    this.#sender = sender;
  }

  async put(file: StoredFile, signal: AbortSignal): Promise<string> {
    const { urlPrefix, headers } = this.#settings;
    const url = new URL(under(urlPrefix, `/${encodeURIComponent(file.uniqueName)}`));
    await this.#sender.put({ url, headers }, file, signal);
    return redactUrl(url);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender[Symbol.asyncDispose]();
  }
}

export const httpStore = {
  name: 'http',
  schema: HttpFolderSchema,
  hint: 'nothing in output.http',
  open(settings: HttpFolderSettings | undefined, context: StoreContext) {
    const folder = settings && new HttpFolder(settings, new Sender(context));
    const described = { name: 'output.http', itemType: 'url' } as const;
    return Promise.resolve(folder && toDestination(folder, described, context));
  },
} as const satisfies Store<typeof HttpFolderSchema>;

/** A URL the caller has signed, for one file: the file at `index`, a file whose name matches, or the next one. */
const PutTargetSchema = z.strictObject({
  url: HttpUrlSchema,
  method: z.enum(['PUT', 'POST']).optional(),
  /** Form fields of a POST, sent before the file. With `${filename}` in `key` the URL takes any number of files. */
  fields: z.record(z.string(), z.string()).optional(),
  headers: HeadersSchema.optional(),
  /** A file name; `*` matches any text. */
  match: GlobSchema.optional(),
  /** Position among the files of the job, from 0. */
  index: z.int().min(0).optional(),
});

type PutTarget = z.infer<typeof PutTargetSchema>;

/** URLs the caller has signed, assigned to the files of a job. Each is written once. */
export class PutTargets implements Destination {
  readonly name = 'output.put';
  readonly itemType = 'url';
  readonly #free: PutTarget[];
  readonly #sender: Sender;
  readonly #transfers: number;

  constructor(
    targets: readonly PutTarget[],
    { sender, transfers }: { readonly sender: Sender; readonly transfers: number },
  ) {
    this.#free = [...targets];
    this.#sender = sender;
    this.#transfers = transfers;
  }

  async store(files: readonly StoredFile[], signal: AbortSignal): Promise<readonly Stored[]> {
    const targets = this.#assign(files);
    const put = (file: StoredFile) => this.#put(file, targets.get(file), signal);
    return await storeEach(files, put, { transfers: this.#transfers, signal });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sender[Symbol.asyncDispose]();
  }

  /** URLs with an `index` are assigned first, then those with a `match`, then the rest in order. */
  #assign(files: readonly StoredFile[]): ReadonlyMap<StoredFile, PutTarget> {
    const assigned = new Map<StoredFile, PutTarget>();
    for (const fits of [fitsIndex, fitsName, fitsAny]) {
      for (const file of files.filter((one) => !assigned.has(one))) {
        const target = this.#free.find((one) => fits(one, file));
        if (!target) continue;
        assigned.set(file, target);
        const takesMany = target.fields?.key?.includes(FILENAME) === true;
        if (!takesMany) this.#free.splice(this.#free.indexOf(target), 1);
      }
    }
    return assigned;
  }

  async #put(
    file: StoredFile,
    target: PutTarget | undefined,
    signal: AbortSignal,
  ): Promise<string> {
    if (!target) throw new Error('none of its URLs is left for this file, or meant for it');
    const { method, fields = {}, headers } = target;
    const url = new URL(target.url);
    const isForm = method === 'POST' || target.fields !== undefined;
    if (isForm) await this.#sender.postForm({ url, headers, fields }, file, signal);
    else await this.#sender.put({ url, headers }, file, signal);
    return addressOf(target, file);
  }
}

const fitsIndex = ({ index }: PutTarget, file: StoredFile) => index === file.index;

const fitsName = ({ index, match }: PutTarget, { filename }: StoredFile) =>
  index === undefined && match !== undefined && matchesGlob(match, filename);

const fitsAny = ({ index, match }: PutTarget) => index === undefined && match === undefined;

/** The URL without its signature, which allows writing. The key of a form is appended. */
function addressOf({ url, fields }: PutTarget, { uniqueName }: StoredFile): string {
  const bare = redactUrl(url);
  const key = fields?.key?.replaceAll(FILENAME, uniqueName);
  if (key === undefined) return bare;
  return `${bare.replace(/\/$/, '')}/${key.split('/').map(encodeURIComponent).join('/')}`;
}

/** Object stores replace it by the name of the file. */
const FILENAME = '${filename}';

/** Each file is compared with each target. */
const MAX_TARGETS = 1000;

const PutTargetsSchema = z.array(PutTargetSchema).max(MAX_TARGETS);

export const putStore = {
  name: 'put',
  schema: PutTargetsSchema,
  hint: 'nothing in output.put',
  whyMissing: () => 'there is no URL to put files to: name them in output.put',
  open(targets: readonly PutTarget[] | undefined, context: StoreContext) {
    const { transfers } = context;
    return Promise.resolve(
      targets && new PutTargets(targets, { sender: new Sender(context), transfers }),
    );
  },
} as const satisfies Store<typeof PutTargetsSchema>;
