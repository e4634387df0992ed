import { systemClock, type Clock } from '../../clock.ts';
import { isAuthorized, makeSas, type Account } from './azure/authorization.ts';
import {
  startStoreServer,
  type StoreAnswer,
  type StoreRequest,
  type StoreServer,
} from './store-server.ts';

interface AzureBlob {
  readonly bytes: Buffer;
  readonly size: number;
  readonly mediaType: string;
  /** How many blocks it was made of; 0: it came whole. */
  readonly blocks: number;
}

export interface AzureSimulatorOptions {
  readonly container: string;
  readonly clock?: Clock;
  /** Blobs are counted, and not kept. */
  readonly forgetful?: boolean;
}

/**
 * Azure Blob Storage in memory, with one account and one container, under the addresses emulators use
 * (`http://host/account/container/blob`): Put Blob, Put Block, Put Block List and Get Blob; Shared Key and service SAS are
 * checked. What it leaves out: everything else.
 */
export interface AzureSimulator extends StoreServer {
  readonly containerUrl: string;
  readonly accountKey: string;
  /** By name. */
  readonly blobs: ReadonlyMap<string, AzureBlob>;
  /** For the container; `permissions` as `cw`, `r`. */
  sas(permissions: string): string;
}

export async function startAzureSimulator(options: AzureSimulatorOptions): Promise<AzureSimulator> {
  const { container, forgetful = false } = options;
  const account: Account = { name: 'simulated', key: 'c2ltdWxhdGVkIGtleQ==' };
  const store = new Container(account, options);
  const server = await startStoreServer({ forgetful, answer: (request) => store.answer(request) });
  return {
    ...server,
    containerUrl: `${server.url}/${account.name}/${container}`,
    accountKey: account.key,
    blobs: store.blobs,
    sas: (permissions) => makeSas(account, container, permissions),
  };
}

class Container {
  readonly blobs = new Map<string, AzureBlob>();
  readonly #blocks = new Map<string, Pick<StoreRequest, 'body' | 'size'>>();
  readonly #account: Account;
  readonly #root: string;
  readonly #clock: Clock;

  constructor(account: Account, { container, clock = systemClock }: AzureSimulatorOptions) {
    this.#account = account;
    this.#root = `/${account.name}/${container}/`;
    this.#clock = clock;
  }

  answer(request: StoreRequest): StoreAnswer {
    const { method, path, query, headers } = request;
    if (!isAuthorized(request, this.#account, this.#clock.now()))
      return refusal(403, 'AuthenticationFailed');
    if (!path.startsWith(this.#root)) return refusal(404, 'ContainerNotFound');
    const name = decodeURIComponent(path.slice(this.#root.length));
    if (method === 'GET') return this.#read(name);
    if (query.get('comp') === 'block') return this.#putBlock(name, request);
    if (query.get('comp') === 'blocklist') return this.#assemble(name, request);
    if (headers['x-ms-blob-type'] !== 'BlockBlob') return refusal(400, 'MissingRequiredHeader');
    const { body: bytes, size } = request;
    this.blobs.set(name, { bytes, size, mediaType: mediaTypeOf(request), blocks: 0 });
    return CREATED;
  }

  #read(name: string): StoreAnswer {
    const blob = this.blobs.get(name);
    if (!blob) return refusal(404, 'BlobNotFound');
    return { status: 200, headers: { 'content-type': blob.mediaType }, body: blob.bytes };
  }

  #putBlock(name: string, { query, body, size }: StoreRequest): StoreAnswer {
    this.#blocks.set(`${name} ${query.get('blockid') ?? ''}`, { body, size });
    return CREATED;
  }

  #assemble(name: string, request: StoreRequest): StoreAnswer {
    const list = [...request.body.toString().matchAll(/<Latest>(.*?)<\/Latest>/g)];
    const blocks = list.map(([, blockId = '']) => this.#blocks.get(`${name} ${blockId}`));
    const there = blocks.filter((block) => block !== undefined);
    if (there.length < blocks.length) return refusal(400, 'InvalidBlockList');
    const bytes = Buffer.concat(there.map(({ body }) => body));
    const size = there.reduce((sum, block) => sum + block.size, 0);
    this.blobs.set(name, { bytes, size, mediaType: mediaTypeOf(request), blocks: there.length });
    return CREATED;
  }
}

const mediaTypeOf = ({ headers }: StoreRequest) => String(headers['x-ms-blob-content-type'] ?? '');

const CREATED: StoreAnswer = { status: 201, headers: { etag: '"0x1"' } };

/** Azure repeats what was signed in its answers. */
function refusal(status: number, code: string): StoreAnswer {
  const text = `<Error><Code>${code}</Code><Message>hush: the MAC signature found</Message></Error>`;
  const headers = { 'content-type': 'application/xml', 'x-ms-error-code': code };
  return { status, headers, body: text };
}
