import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { runProgram } from '../../processes/run-program.ts';
import type { Manifest, NodePack } from './schema.ts';

export interface InstallOptions {
  /** The folder of ComfyUI. */
  readonly comfyFolder: string;
  /** The interpreter that ComfyUI runs on. */
  readonly python: string;
  readonly signal: AbortSignal;
  readonly onStep: (text: string) => void;
  readonly onLine: (line: string) => void;
}

/**
 * Installs system packages, Python packages and node packs, in this order. A node pack that is there at its ref is left
 * alone.
 * @throws WorkerError `manifest.step_failed`
 */
export async function installSoftware(
  { apt, pip, custom_nodes: packs }: Manifest,
  options: InstallOptions,
): Promise<void> {
  const { onStep } = options;
  const run = (words: readonly string[], cwd?: string) =>
    runProgram(words, { ...options, ...(cwd === undefined ? {} : { cwd }) });
  if (apt.length > 0) {
    onStep(`system packages: ${apt.join(', ')}`);
    await run(['apt-get', 'update']);
    await run(['apt-get', 'install', '-y', '--no-install-recommends', ...apt]);
  }
  if (pip.length > 0) {
    onStep(`Python packages: ${pip.join(', ')}`);
    await run([...(await installer(options)), ...pip]);
  }
  for (const pack of packs) await installPack(pack, options, run);
}

type Run = (words: readonly string[], cwd?: string) => Promise<string>;

/** uv is quicker, and its environments have no pip of their own. */
async function installer({ python, ...options }: InstallOptions): Promise<readonly string[]> {
  const quiet = { ...options, onLine: () => undefined };
  const hasUv = await runProgram(['uv', '--version'], quiet).then(
    () => true,
    () => false,
  );
  options.signal.throwIfAborted();
  return hasUv
    ? ['uv', 'pip', 'install', '--python', python]
    : [python, '-m', 'pip', 'install', '--no-input'];
}

async function installPack(pack: NodePack, options: InstallOptions, run: Run): Promise<void> {
  const { comfyFolder, python, onStep } = options;
  if ('name' in pack) {
    const id = pack.version === undefined ? pack.name : `${pack.name}@${pack.version}`;
    onStep(`node pack ${id} of the registry`);
    await run(['env', 'COMFY_NODE_CHECK=false', 'comfy-node-install', id]);
    return;
  }
  const { url, ref } = pack;
  const folder = join(comfyFolder, 'custom_nodes', packName(url));
  const head = await run(['git', 'rev-parse', 'HEAD'], folder).catch(() => '');
  if (head.trim() === ref) return;
  onStep(`node pack ${packName(url)} at ${ref}`);
  // Complete before it gets its name: a half checked-out pack would break the start of ComfyUI.
  const fresh = `${folder}.part`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  await run(['git', 'init', '--quiet'], fresh);
  await run(['git', 'fetch', '--quiet', '--depth', '1', url, ref], fresh);
  await run(['git', '-c', 'advice.detachedHead=false', 'checkout', '--quiet', 'FETCH_HEAD'], fresh);
  await run(['git', 'remote', 'add', 'origin', url], fresh);
  await run(
    ['git', 'submodule', 'update', '--quiet', '--init', '--recursive', '--depth', '1'],
    fresh,
  );
  if (await isFile(join(fresh, 'requirements.txt')))
    await run([...(await installer(options)), '-r', 'requirements.txt'], fresh);
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
  if (await isFile(join(folder, 'install.py'))) await run([python, 'install.py'], folder);
}

/** The folder of a node pack: the name of its repository. */
function packName(url: string): string {
  return basename(url.replace(/\/+$/, '')).replace(/\.git$/, '');
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
