import { randomUUID } from 'node:crypto';
import { openAsBlob } from 'node:fs';
import { open, rm, writeFile } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { isError } from '../../errors.ts';
import { MemoryFile } from '../../file-content.ts';
import type { JsonText } from '../../json.ts';
import type { ComfyFile } from '../backend.ts';
import type { ComfyClient } from '../transport/client.ts';

interface SharedFolderOptions {
  readonly type: 'input' | 'output';
  /** The only path to try; when undefined, likely paths are derived from what ComfyUI says about itself. */
  readonly configured: string | undefined;
  /** The id changes with the connection: behind a new one there may be another ComfyUI. */
  readonly socket: { readonly clientId: string | undefined };
}

/**
 * ComfyUI's input or output folder on a disk that this worker sees as well. A path is accepted only after a file written
 * there was seen through ComfyUI.
 */
export class SharedFolder {
  readonly #client: ComfyClient;
  readonly #options: SharedFolderOptions;
  #path: string | undefined;
  /** Client ids of the connections over which the folder was found last, and not found. */
  #foundOver: string | undefined;
  #notFoundOver: string | undefined;

  constructor(client: ComfyClient, options: SharedFolderOptions) {
    this.#client = client;
    this.#options = options;
  }

  /** Undefined when it is not visible from here. A found path is kept; otherwise each new connection is a new attempt. */
  async path(signal: AbortSignal): Promise<string | undefined> {
    const { configured, socket } = this.#options;
    const { clientId } = socket;
    if (this.#path !== undefined) {
      const isToVerify = clientId !== undefined && clientId !== this.#foundOver;
      if (isToVerify && (await this.#isSeenByComfy(this.#path, signal))) this.#foundOver = clientId;
      return this.#path;
    }
    if (clientId !== undefined && clientId === this.#notFoundOver) return undefined;
    const candidates = configured === undefined ? await this.#likelyPaths(signal) : [configured];
    for (const candidate of candidates) {
      if (!(await this.#isSeenByComfy(candidate, signal))) continue;
      this.#foundOver = clientId;
      return (this.#path = candidate);
    }
    this.#notFoundOver = clientId;
    return undefined;
  }

  /** A file in this folder, if the folder was found before; ComfyUI is not asked. Undefined when it is not there. */
  async maybeOpen(file: ComfyFile): Promise<Blob | undefined> {
    const path = this.#pathOf(file);
    const found = path && (await openAsBlob(path).catch(() => undefined));
    return found && found.size > 0 ? found : undefined;
  }

  /**
   * The bytes of a file in this folder, if the folder was found over the connection that is open now. Undefined when the
   * file is not there, is empty, or has more bytes than `maxBytes`. It costs neither ComfyUI nor the worker a request.
   */
  async maybeRead(file: ComfyFile, maxBytes: number): Promise<MemoryFile | undefined> {
    const { socket } = this.#options;
    if (socket.clientId === undefined || socket.clientId !== this.#foundOver) return undefined;
    const path = this.#pathOf(file);
    if (path === undefined) return undefined;
    try {
      await using opened = await open(path);
      const { size } = await opened.stat();
      if (size === 0 || size > maxBytes) return undefined;
      const bytes = Buffer.allocUnsafeSlow(size);
      const { bytesRead } = await opened.read(bytes, 0, size, 0);
      return bytesRead === size ? new MemoryFile(bytes) : undefined;
    } catch {
      return undefined;
    }
  }

  #pathOf({ filename, subfolder, type }: ComfyFile): string | undefined {
    if (this.#path === undefined || type !== this.#options.type) return undefined;
    const path = resolve(this.#path, subfolder, filename);
    return path.startsWith(resolve(this.#path) + sep) ? path : undefined;
  }

  /** From the arguments of ComfyUI, else beside its `custom_nodes`, else beside its `main.py`. */
  async #likelyPaths(signal: AbortSignal): Promise<string[]> {
    const stats = await this.#maybeInfo('/system_stats', signal);
    const argv = (stats?.get('system')?.get('argv')?.items() ?? []).map((item) =>
      String(item.value()),
    );
    const folders = await this.#maybeInfo('/internal/folder_paths', signal);
    const customNodes = folders?.get('custom_nodes')?.items()[0]?.value();
    const base = argumentOf(argv, '--base-directory');
    const { type } = this.#options;
    const candidates = [
      argumentOf(argv, `--${type}-directory`),
      base && join(base, type),
      typeof customNodes === 'string' ? join(dirname(customNodes), type) : undefined,
      argv[0] && join(dirname(argv[0]), type),
    ];
    const absolute = candidates.filter((path) => path !== undefined && isAbsolute(path));
    return [...new Set(absolute.map((path) => resolve(path ?? '')))];
  }

  /** Undefined when this ComfyUI does not tell. */
  async #maybeInfo(path: string, signal: AbortSignal): Promise<JsonText | undefined> {
    try {
      return await this.#client.getInfo(path, signal);
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
      return false; // the folder does not exist or is not writable
    } finally {
      await rm(path, { force: true });
    }
  }
}

/** The value of `--name value` or `--name=value`. */
function argumentOf(argv: readonly string[], name: string): string | undefined {
  const joined = argv.find((arg) => arg.startsWith(`${name}=`));
  if (joined !== undefined) return joined.slice(name.length + 1);
  const at = argv.indexOf(name);
  return at < 0 ? undefined : argv[at + 1];
}
