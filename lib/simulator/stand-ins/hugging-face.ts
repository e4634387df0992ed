import { createHash } from 'node:crypto';
import {
  startStoreServer,
  type StoreAnswer,
  type StoreRequest,
  type StoreServer,
} from './store-server.ts';

interface HubFile {
  readonly bytes: Buffer;
  readonly size: number;
  /** Whether it was uploaded through Git LFS, before the commit that names it. */
  readonly isLarge: boolean;
}

interface HubCommit {
  readonly oid: string;
  readonly branch: string;
  readonly summary: string;
  readonly paths: readonly string[];
}

export interface HubSimulatorOptions {
  /** As in URLs: `me/model`, `datasets/me/pictures`. */
  readonly repo: string;
  /** Files of this size or more are uploaded through Git LFS. Default 10 MB. */
  readonly largeBytes?: number;
}

/**
 * The Hugging Face hub with one repository: preupload, the batch API of Git LFS with basic transfers, commits, and
 * `resolve`. Left out: xet, LFS uploads in several parts, pull requests, and branches other than `main`.
 */
export interface HubSimulator extends StoreServer {
  readonly token: string;
  /** By path. */
  readonly files: ReadonlyMap<string, HubFile>;
  readonly commits: readonly HubCommit[];
}

export async function startHubSimulator(options: HubSimulatorOptions): Promise<HubSimulator> {
  const hub = new Hub(options);
  const server = await startStoreServer({ answer: (request) => hub.answer(request) });
  hub.url = server.url;
  return { ...server, token: hub.token, files: hub.files, commits: hub.commits };
}

/** A line of a commit request (NDJSON). */
type CommitLine =
  | { readonly key: 'header'; readonly value: { readonly summary: string } }
  | { readonly key: 'file'; readonly value: { readonly path: string; readonly content: string } }
  | { readonly key: 'lfsFile'; readonly value: { readonly path: string; readonly oid: string } };

class Hub {
  readonly token = 'hf_simulated';
  readonly files = new Map<string, HubFile>();
  readonly commits: HubCommit[] = [];
  url = '';
  readonly #large = new Map<string, Buffer>();
  readonly #repo: string;
  readonly #largeBytes: number;

  constructor({ repo, largeBytes = 10_000_000 }: HubSimulatorOptions) {
    this.#repo = repo;
    this.#largeBytes = largeBytes;
  }

  answer(request: StoreRequest): StoreAnswer {
    const { method, path } = request;
    if (path.startsWith('/large/') && method === 'PUT') return this.#putLarge(request);
    if (path.includes('/resolve/')) return this.#resolve(path);
    if (request.headers.authorization !== `Bearer ${this.token}`)
      return json(401, { error: 'Invalid credentials in Authorization header' });
    if (path === `/${this.#repo}.git/info/lfs/objects/batch`) return this.#batch(request);
    const api = `/api/${this.#repo.startsWith('datasets/') ? '' : 'models/'}${this.#repo}`;
    if (path === `${api}/preupload/main`) return this.#preupload(request);
    if (path === `${api}/commit/main`) return this.#commit(request);
    return json(404, { error: 'Repository not found' });
  }

  #preupload({ body }: StoreRequest): StoreAnswer {
    const sent = JSON.parse(body.toString()) as { files: { path: string; size: number }[] };
    const files = sent.files.map(({ path, size }) => ({
      path,
      uploadMode: size >= this.#largeBytes ? 'lfs' : 'regular',
    }));
    return json(200, { files });
  }

  /** Files already uploaded get no upload action. */
  #batch({ body }: StoreRequest): StoreAnswer {
    const { objects } = JSON.parse(body.toString()) as { objects: { oid: string; size: number }[] };
    const answered = objects.map(({ oid, size }) => {
      const upload = { href: `${this.url}/large/${oid}?signature=hush` };
      return this.#large.has(oid) ? { oid, size } : { oid, size, actions: { upload } };
    });
    return json(200, { transfer: 'basic', objects: answered });
  }

  #putLarge({ path, query, body, sha256 }: StoreRequest): StoreAnswer {
    if (query.get('signature') !== 'hush') return { status: 403 };
    if (path !== `/large/${sha256}`) return { status: 400 };
    this.#large.set(sha256, body);
    return { status: 200 };
  }

  #commit({ body }: StoreRequest): StoreAnswer {
    const lines = body
      .toString()
      .split('\n')
      .map((line) => JSON.parse(line) as CommitLine);
    const missing = lines.some(
      (line) => line.key === 'lfsFile' && !this.#large.has(line.value.oid),
    );
    if (missing) return json(400, { error: 'A large file has not been uploaded' });
    const paths = lines.flatMap((line) => this.#add(line));
    const header = lines.find((line) => line.key === 'header');
    const oid = createHash('sha1').update(body).digest('hex');
    this.commits.push({ oid, branch: 'main', summary: header?.value.summary ?? '', paths });
    return json(200, { commitOid: oid, commitUrl: `${this.url}/${this.#repo}/commit/${oid}` });
  }

  #add(line: CommitLine): string[] {
    if (line.key === 'header') return [];
    const { path } = line.value;
    const isLarge = line.key === 'lfsFile';
    const stored = isLarge ? this.#large.get(line.value.oid) : undefined;
    const bytes = stored ?? Buffer.from(isLarge ? '' : line.value.content, 'base64');
    this.files.set(path, { bytes, size: bytes.length, isLarge });
    return [path];
  }

  #resolve(path: string): StoreAnswer {
    const [, oid = '', name = ''] = /\/resolve\/([^/]+)\/(.+)$/.exec(path) ?? [];
    const isThere = this.commits.some((commit) => commit.oid === oid);
    const file = isThere ? this.files.get(decodeURIComponent(name)) : undefined;
    return file ? { status: 200, body: file.bytes } : { status: 404 };
  }
}

function json(status: number, value: unknown): StoreAnswer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}
