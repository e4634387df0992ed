import { join } from 'node:path';
import pLimit from 'p-limit';
import { describeError } from '../../errors.ts';
import type { ModelFetcher, ModelProgress } from '../../models/fetch/model-fetcher.ts';
import { filenameOf, type ModelEntry } from '../../models/manifest/schema.ts';
import type { Screen } from '../screen.ts';

/** The path of a model in ComfyUI's folder of models. */
export function modelPath(modelsFolder: string, model: ModelEntry): string {
  return join(modelsFolder, model.folder, filenameOf(model));
}

/**
 * Fetches models, a few at a time. All are tried. On a terminal there is a bar for all of them together; in a log a line
 * when one is here, and every half minute.
 * @returns how many failed
 */
export async function fetchModels(
  models: readonly ModelEntry[],
  {
    fetcher,
    modelsFolder,
    screen,
    signal,
  }: {
    readonly fetcher: ModelFetcher;
    readonly modelsFolder: string;
    readonly screen: Screen;
    readonly signal: AbortSignal;
  },
): Promise<number> {
  const limit = pLimit(FILES_AT_ONCE);
  const overview = new Overview(screen);
  const results = await Promise.all(
    models.map((model) =>
      limit(async () => {
        const name = `${model.folder}/${filenameOf(model)}`;
        const { url, revision, sha256, size } = model;
        const request = { url, revision, sha256, size, path: modelPath(modelsFolder, model) };
        try {
          const onProgress = (progress: ModelProgress) => overview.update(name, progress);
          const { wasHere, bytes } = await fetcher.fetch(request, { signal, onProgress });
          overview.end(name);
          screen.note(`${wasHere ? 'present' : 'fetched'}   ${name}  (${gigabytes(bytes)})`);
          return true;
        } catch (error) {
          overview.end(name);
          signal.throwIfAborted();
          screen.problem(`FAILED    ${name}: ${describeError(error)}`);
          return false;
        }
      }),
    ),
  );
  return results.filter((isHere) => !isHere).length;
}

const FILES_AT_ONCE = 3;

export const gigabytes = (bytes: number) =>
  bytes < 1e8 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

/** The downloads under way, as one line. */
class Overview {
  readonly #running = new Map<string, ModelProgress>();
  readonly #screen: Screen;
  #shownAt = 0;

  constructor(screen: Screen) {
    this.#screen = screen;
  }

  update(name: string, progress: ModelProgress): void {
    this.#running.set(name, progress);
    const now = performance.now();
    if (now - this.#shownAt < (process.stderr.isTTY ? 200 : 30_000)) return;
    this.#shownAt = now;
    const all = [...this.#running.values()];
    const bytes = all.reduce((sum, one) => sum + one.bytes, 0);
    const total = all.reduce((sum, one) => sum + (one.total ?? one.bytes), 0);
    const nodeTitle = `${gigabytes(bytes)} of ${gigabytes(total)}  ${[...this.#running.keys()].join(', ')}`;
    this.#screen.progress({ percent: Math.floor((100 * bytes) / Math.max(1, total)), nodeTitle });
  }

  end(name: string): void {
    this.#running.delete(name);
  }
}
