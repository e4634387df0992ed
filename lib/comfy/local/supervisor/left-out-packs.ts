import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FailedImport } from './comfy-output.ts';

/**
 * Node packs that ended ComfyUI at its start. A pack that did so twice in a row is left out of later starts, until the
 * worker ends. ComfyUI leaves packs out by name (`nodes.py`, `init_external_custom_nodes`): it loads none but the listed.
 */
export class LeftOutPacks {
  readonly #packs = new Map<string, FailedImport>();
  #suspect: string | undefined;
  #isPossible = true;

  get all(): readonly FailedImport[] {
    return this.#isPossible ? [...this.#packs.values()] : [];
  }

  /**
   * To be called with the last traceback and the lines after it when ComfyUI ended before it answered.
   * @returns the pack if it is left out from now on.
   */
  onCrash(traceback: readonly string[]): FailedImport | undefined {
    const pack = packInTraceback(traceback);
    const isAgain = pack !== undefined && pack.name === this.#suspect;
    this.#suspect = pack?.name;
    if (!isAgain || this.#packs.has(pack.name) || this.#packs.size >= MAX_PACKS) return undefined;
    const error = `it ended ComfyUI at its start and was left out; ${pack.error}`;
    this.#packs.set(pack.name, { ...pack, error });
    return pack;
  }

  /** To be called with the output of a ComfyUI that ended at its start. An old one does not know the arguments. */
  onOutput(lines: readonly string[]): void {
    if (lines.some((line) => UNKNOWN_ARGUMENTS.test(line))) this.#isPossible = false;
  }

  /** Further arguments for ComfyUI: none while no pack is left out. A list in `command` is kept, without these packs. */
  async argumentsFor(command: readonly string[]): Promise<readonly string[]> {
    if (this.#packs.size === 0 || !this.#isPossible) return [];
    const listed = valuesOf(command, '--whitelist-custom-nodes');
    const names = listed.length > 0 ? listed : await this.#installed();
    const loaded = names.filter((name) => !this.#packs.has(name));
    return [
      '--disable-all-custom-nodes',
      ...(loaded.length > 0 ? ['--whitelist-custom-nodes', ...loaded] : []),
    ];
  }

  /** All packs in the folders of those that are left out. */
  async #installed(): Promise<string[]> {
    const folders = new Set(this.all.map(({ path = '' }) => dirname(path)));
    const names = await Promise.all([...folders].map((folder) => readdir(folder).catch(() => [])));
    return names.flat().filter((name) => !/^(?:__pycache__|\..*)$/.test(name));
  }
}

/** The pack whose file comes last in a traceback: the code that raised, or that called what raised. */
export function packInTraceback(traceback: readonly string[]): FailedImport | undefined {
  const frames = traceback.map((line) => PACK_FRAME.exec(line)).filter((frame) => frame !== null);
  // Python's fault handler lists the innermost call first, a traceback lists it last.
  const [, folder = '', name = ''] =
    (traceback[0]?.startsWith('Fatal Python error') ? frames[0] : frames.at(-1)) ?? [];
  if (name === '') return undefined;
  const error = traceback.findLast((line) => /^\w[\w. ]*(?::|$)/.test(line)) ?? '';
  return { name, path: join(folder, name), error, traceback };
}

/** The words after an option, up to the next option. */
function valuesOf(command: readonly string[], option: string): readonly string[] {
  const at = command.indexOf(option);
  if (at < 0) return [];
  const rest = command.slice(at + 1);
  const end = rest.findIndex((word) => word.startsWith('-'));
  return end < 0 ? rest : rest.slice(0, end);
}

const UNKNOWN_ARGUMENTS = /unrecognized arguments: .*-custom-nodes/;
const PACK_FRAME = /^\s*File "(.*?\/custom_nodes)\/([^/"]+)/;
/** With more, something else is wrong than a pack. */
const MAX_PACKS = 5;
