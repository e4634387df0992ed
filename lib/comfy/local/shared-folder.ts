import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { InputToStore } from '../backend.ts';

export interface SharedFolderOptions {
  readonly type: 'input' | 'output';
  /** The only place to look at; without it ComfyUI is asked. */
  readonly configured: string | undefined;
  /** Changes when ComfyUI may be another one: its client id for the websocket. */
  readonly connection: () => string | undefined;
}

/**
 * ComfyUI's input or output folder, when it lies on a disk that this worker sees as well. Nothing is taken for it before
 * a file put there has been read back through ComfyUI.
 */
export class SharedFolder {
  readonly #client: ComfyClient;
  readonly #options: SharedFolderOptions;
  #path: string | undefined;
  #missedOver: string | undefined;

  constructor(client: ComfyClient, options: SharedFolderOptions) {
    this.#client = client;
    this.#options = options;
  }

  /**
   * Where it is; undefined when it is not to be reached. Once found it is not looked for again, and otherwise not before
   * there is a new connection to ComfyUI.
   */
  async path(signal: AbortSignal): Promise<string | undefined> {
    if (this.#path !== undefined) return this.#path;
    const connection = this.#options.connection();
    if (connection !== undefined && connection === this.#missedOver) return undefined;
    this.#path = await this.#find(signal);
    this.#missedOver = this.#path === undefined ? connection : undefined;
    return this.#path;
  }

  async #find(signal: AbortSignal): Promise<string | undefined> {
    const { configured } = this.#options;
    const places = configured === undefined ? await this.#likely(signal) : [configured];
    for (const place of places) {
      if (await this.#isSeenByComfy(place, signal)) return place;
    }
    return undefined;
  }

  /** Puts a file there. ComfyUI sees all of it or nothing, and a prompt that reads the old one keeps it. */
  async put(
    folder: string,
    { name, subfolder = '', content }: InputToStore,
    signal: AbortSignal,
  ): Promise<void> {
    const target = resolve(folder, subfolder, name);
    if (!target.startsWith(resolve(folder) + sep)) throw outside(name);
    const part = join(dirname(target), `.${randomUUID()}.part`);
    await mkdir(dirname(target), { recursive: true });
    try {
      await pipeline(content.stream(), createWriteStream(part, { flags: 'wx' }), { signal });
      await rename(part, target);
    } catch (error) {
      await rm(part, { force: true });
      throw signal.aborted ? signal.reason : error;
    }
  }

  /** By its arguments, else beside its other folders, else beside its program. */
  async #likely(signal: AbortSignal): Promise<string[]> {
    const stats = await this.#maybeJson('/system_stats', signal);
    const argv = (stats?.get('system')?.get('argv')?.items() ?? []).map((item) =>
      String(item.value()),
    );
    const folders = await this.#maybeJson('/internal/folder_paths', signal);
    const customNodes = folders?.get('custom_nodes')?.items()[0]?.value();
    const base = valueOf(argv, '--base-directory');
    const { type } = this.#options;
    const found = [
      valueOf(argv, `--${type}-directory`),
      base && join(base, type),
      typeof customNodes === 'string' ? join(dirname(customNodes), type) : undefined,
      argv[0] && join(dirname(argv[0]), type),
    ];
    const places = found.filter((place) => place !== undefined && isAbsolute(place));
    return [...new Set(places.map((place) => resolve(place ?? '')))];
  }

  /** Not every ComfyUI tells. */
  async #maybeJson(path: string, signal: AbortSignal): Promise<JsonText | undefined> {
    try {
      return await this.#client.json(path, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isError(error)) throw error;
      return undefined;
    }
  }

  async #isSeenByComfy(folder: string, signal: AbortSignal): Promise<boolean> {
    const { type } = this.#options;
    const filename = `worker-probe-${randomUUID()}`;
    const path = join(folder, filename);
    try {
      await writeFile(path, filename, { flag: 'wx' });
      return await this.#client.hasFile({ filename, subfolder: '', type }, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (!isError(error)) throw error;
      return false; // There is no such folder, or it is not ours to write to.
    } finally {
      await rm(path, { force: true });
    }
  }
}

const outside = (name: string) =>
  new WorkerError(
    'input.upload_failed',
    `The name ${JSON.stringify(name)} leads out of the input folder`,
  );

/** `--name value` or `--name=value`. */
function valueOf(argv: readonly string[], name: string): string | undefined {
  const joined = argv.find((arg) => arg.startsWith(`${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 1);
  const at = argv.indexOf(name);
  return at < 0 ? undefined : argv[at + 1];
}
