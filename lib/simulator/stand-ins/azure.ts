import { createHmac, timingSafeEqual } from 'node:crypto';
import { systemClock, type Clock } from '../../clock.ts';
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
  /** Number of blocks it was put together from; 0 when it was sent whole. */
  readonly blocks: number;
}

export interface AzureSimulatorOptions {
  readonly container: string;
  readonly clock?: Clock;
  /** Blobs are counted, but not kept. */
  readonly forgetful?: boolean;
}

/**
 * Azure Blob Storage in memory, with one account and one container, under the URLs emulators use
 * (`http://host/account/container/blob`): Put Blob, Put Block, Put Block List and Get Blob. Shared Key and service SAS
 * are checked. Everything else is left out.
 */
export interface AzureSimulator extends StoreServer {
  readonly containerUrl: string;
  readonly accountKey: string;
  /** By name. */
  readonly blobs: ReadonlyMap<string, AzureBlob>;
  /** A SAS for the container. `permissions` are letters: `cw`, `r`. */
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
    if (!isAuthorized(request, this.#account, this.#clock.wallTime()))
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

/** Azure's own error text repeats the string that was signed. Here it contains a secret, so that tests see leaks. */
function refusal(status: number, code: string): StoreAnswer {
  const text = `<Error><Code>${code}</Code><Message>hush: the MAC signature found</Message></Error>`;
  const headers = { 'content-type': 'application/xml', 'x-ms-error-code': code };
  return { status, headers, body: text };
}

/** An account of Azure Storage. */
interface Account {
  readonly name: string;
  /** base64 */
  readonly key: string;
}

/**
 * Whether a request is signed with the account's key, by `Authorization: SharedKey` or by a SAS in the URL. Written from
 * Microsoft's "Authorize with Shared Key" and "Create a service SAS", so that it shares no code with the client under
 * test.
 */
function isAuthorized(request: StoreRequest, account: Account, nowMs: number): boolean {
  const { query, headers } = request;
  if (query.has('sig')) return isSasValid(request, account, nowMs);
  const expected = `SharedKey ${account.name}:${sign(stringToSign(request, account), account)}`;
  return isSame(headers.authorization ?? '', expected);
}

/** A SAS for a container, valid until 2100. */
function makeSas(account: Account, container: string, permissions: string): string {
  const sas = new URLSearchParams({
    sv: '2022-11-02',
    se: '2100-01-01T00:00:00Z',
    sr: 'c',
    sp: permissions,
  });
  const resource = `/blob/${account.name}/${container}`;
  sas.set('sig', sign(sasStringToSign(sas, resource), account));
  return sas.toString();
}

/** Method, eleven standard headers, the `x-ms-` headers sorted, account and path, the query sorted. */
function stringToSign({ method, path, query, headers }: StoreRequest, account: Account): string {
  const length = headers['content-length'] === '0' ? '' : (headers['content-length'] ?? '');
  const standard = STANDARD_HEADERS.map((name) => String(headers[name] ?? ''));
  const own = Object.keys(headers)
    .filter((name) => name.startsWith('x-ms-'))
    .sort()
    .map((name) => `${name}:${String(headers[name])}`);
  const parameters = [...query.keys()]
    .sort()
    .map((name) => `\n${name}:${query.getAll(name).join(',')}`);
  const lines = [method, ...standard.slice(0, 2), length, ...standard.slice(2), ...own];
  return `${lines.join('\n')}\n/${account.name}${path}${parameters.join('')}`;
}

const STANDARD_HEADERS = [
  'content-encoding',
  'content-language',
  'content-md5',
  'content-type',
  'date',
  'if-modified-since',
  'if-match',
  'if-none-match',
  'if-unmodified-since',
  'range',
] as const;

function isSasValid(
  { method, path, query }: StoreRequest,
  account: Account,
  nowMs: number,
): boolean {
  const [, container = '', ...blob] = decodeURIComponent(path)
    .slice(account.name.length + 1)
    .split('/');
  const whole = `/blob/${account.name}/${container}`;
  const resource = query.get('sr') === 'c' ? whole : `${whole}/${blob.join('/')}`;
  const expected = sign(sasStringToSign(query, resource), account);
  const right = method === 'GET' || method === 'HEAD' ? 'r' : 'w';
  const isInTime = Date.parse(query.get('se') ?? '') > nowMs;
  const isAllowed = query.get('sp')?.includes(right) === true;
  return isInTime && isAllowed && isSame(query.get('sig') ?? '', expected);
}

function sasStringToSign(sas: URLSearchParams, resource: string): string {
  const at = (name: string) => sas.get(name) ?? '';
  return [
    ...['sp', 'st', 'se'].map(at),
    resource,
    ...['si', 'sip', 'spr', 'sv', 'sr', 'snapshot', 'ses'].map(at),
    ...['rscc', 'rscd', 'rsce', 'rscl', 'rsct'].map(at),
  ].join('\n');
}

function sign(text: string, { key }: Account): string {
  return createHmac('sha256', Buffer.from(key, 'base64')).update(text).digest('base64');
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}
