import { createHash } from 'node:crypto';
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { WorkerError } from '../../errors.ts';
import type { FetchOptions, ModelFetcher } from '../fetch/model-fetcher.ts';
import { contentKey } from '../fetch/model-request.ts';
import { filenameOf } from '../manifest/schema.ts';

/** A model that jobs may use. It stays at least until it is released. */
export interface CachedModel extends Disposable {
  /** As a loader names it: the path within its model folder. */
  readonly name: string;
}

/**
 * Models that jobs name by URL. They are in the folder `fetched` of a model folder, each in a folder of its own that is named
 * after its URL, because many models have the same file name. Above the limit, those that were used longest ago are removed;
 * models in use, models with a file name of the manifest, and models from elsewhere are never removed.
 */
export class ModelCache {
  readonly #fetcher: Pick<ModelFetcher, 'fetch'>;
  readonly #maxBytes: number;
  readonly #pinned: () => Promise<ReadonlySet<string>>;
  readonly #uses = new Map<string, number>();
  /** Model folders that something was fetched into. */
  readonly #folders = new Set<string>();

  /** @param pinned gives the file names that stay */
  constructor(
    fetcher: Pick<ModelFetcher, 'fetch'>,
    {
      maxBytes,
      pinned,
    }: { readonly maxBytes: number; readonly pinned: () => Promise<ReadonlySet<string>> },
  ) {
    this.#fetcher = fetcher;
    this.#maxBytes = maxBytes;
    this.#pinned = pinned;
  }

  /**
   * Fetches a model, or finds it.
   * @param folder path of the model folder
   * @throws WorkerError `model.*`; the signal's reason if it is aborted
   */
  async obtain(url: string, folder: string, options: FetchOptions): Promise<CachedModel> {
    const filename = filenameOf({ url });
    if (!/^[^/\\]+\.\w{1,16}$/.test(filename))
      throw new WorkerError(
        'model.refused',
        'Expected the URL of a model to end with a file name such as model.safetensors',
      );
    const digest = createHash('sha256')
      .update(contentKey({ url, path: '' }))
      .digest('hex');
    const path = join(folder, FETCHED, digest.slice(0, 12), filename);
    this.#folders.add(folder);
    this.#use(path, 1);
    try {
      await this.#fetcher.fetch({ url, path }, options);
      await utimes(path, new Date(), new Date());
      await this.#removeOldest();
    } catch (error) {
      this.#use(path, -1);
      throw error;
    }
    let isReleased = false;
    return {
      name: relative(folder, path),
      [Symbol.dispose]: () => {
        if (!isReleased) this.#use(path, -1);
        isReleased = true;
      },
    };
  }

  #use(path: string, change: 1 | -1): void {
    const uses = (this.#uses.get(path) ?? 0) + change;
    if (uses === 0) this.#uses.delete(path);
    else this.#uses.set(path, uses);
  }

  async #removeOldest(): Promise<void> {
    const models = (await Promise.all([...this.#folders].map(fetchedModels))).flat();
    let bytes = models.reduce((sum, { size }) => sum + size, 0);
    if (bytes <= this.#maxBytes) return;
    const pinned = await this.#pinned();
    for (const { path, size } of models.sort((a, b) => a.usedAt - b.usedAt)) {
      if (bytes <= this.#maxBytes) return;
      if (this.#uses.has(path) || pinned.has(basename(path))) continue;
      await rm(dirname(path), { recursive: true, force: true });
      bytes -= size;
    }
  }
}

const FETCHED = 'fetched';

async function fetchedModels(folder: string) {
  const root = join(folder, FETCHED);
  const paths = await readdir(root, { recursive: true }).catch(() => []);
  const found = await Promise.all(
    paths.map(async (name) => {
      const path = join(root, name);
      const about = await stat(path).catch(() => undefined);
      if (!about?.isFile() || /\.part(?:\.\w+)?$/.test(name)) return [];
      return [{ path, size: about.size, usedAt: about.mtimeMs }];
    }),
  );
  return found.flat();
}
