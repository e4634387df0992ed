import { opendir, stat } from 'node:fs/promises';
import { extname, join, relative } from 'node:path';
import { nearest } from '../choices.ts';
import { MODEL_FOLDERS } from './model-folders.ts';

/** The files that ComfyUI finds on a network volume, and those that are probably misplaced. */
export interface VolumeReport {
  /** Folders with models: `loras: 3 files, 1.2 GB`. */
  readonly found: readonly string[];
  /** Sentences that say what is misplaced, and what to do. */
  readonly hints: readonly string[];
}

interface File {
  /** Relative to the folder of its type. */
  readonly path: string;
  readonly bytes: number;
}

/** Extensions that ComfyUI loads, and those of widespread node packs. */
const MODEL_EXTENSIONS = new Set(
  '.safetensors .sft .ckpt .pt .pt2 .pth .bin .pkl .gguf .onnx .engine .yaml .yml .json .txt'.split(
    ' ',
  ),
);
/** Formats in which weights are always larger than this. A smaller file is a Git LFS pointer or an error page. */
const WEIGHTS = new Set(['.safetensors', '.sft', '.ckpt', '.gguf']);
const MIN_WEIGHT_BYTES = 1024;
/** A volume can hold very many files (datasets, caches). */
const MAX_FILES = 5000;
const MAX_HINTS = 40;
const SHOWN_FILES = 10;

/** Looks through the model folders of a volume. It reads names and sizes, no contents. */
export async function reportVolume(volume: string): Promise<VolumeReport> {
  const top = await listFolder(volume);
  if (!top) {
    const hint = `${volume} does not exist: no network volume is attached to this endpoint, or it is mounted elsewhere (NETWORK_VOLUME_DIR)`;
    return { found: [], hints: [hint] };
  }
  const hints = top.folders.flatMap((name) => misplacedAtTop(volume, name));
  const models = await listFolder(join(volume, 'models'));
  if (!models) {
    hints.push(
      `${volume}/models does not exist: models belong into ${volume}/models/checkpoints, ${volume}/models/loras, ...`,
    );
    return { found: [], hints };
  }
  hints.push(
    ...models.files.map(
      (name) =>
        `models/${name}: move it into the folder of its type, for example models/checkpoints`,
    ),
  );
  const found: string[] = [];
  for (const folder of models.folders) {
    const files = await filesBelow(join(volume, 'models', folder));
    if (folder === 'models') {
      hints.push('models/models: one level too deep; move its folders to models');
      continue;
    }
    hints.push(...misnamed(folder), ...files.flatMap((file) => misplacedFile(folder, file)));
    if (files.length > 0) found.push(`${folder}: ${describe(files)}`);
  }
  return { found, hints: hints.slice(0, MAX_HINTS) };
}

function misplacedAtTop(volume: string, name: string): readonly string[] {
  if (MODEL_FOLDERS.includes(name)) return [`${name}: move it to ${volume}/models/${name}`];
  if (/^comfyui$/i.test(name))
    return [
      `${name}: a whole ComfyUI; its models are used if they are in ${volume}/models, its node packs in ${volume}/custom_nodes`,
    ];
  return [];
}

/** A folder whose name is almost that of a type. Other names may belong to node packs. */
function misnamed(folder: string): readonly string[] {
  if (MODEL_FOLDERS.includes(folder)) return [];
  const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]|s$/g, '');
  const same = MODEL_FOLDERS.find((name) => plain(name) === plain(folder));
  const [meant] = same === undefined ? nearest(MODEL_FOLDERS, folder, 1) : [same];
  return meant === undefined
    ? []
    : [
        `models/${folder}: ComfyUI does not know this folder; rename it to models/${meant} if that is meant`,
      ];
}

function misplacedFile(folder: string, { path, bytes }: File): readonly string[] {
  const extension = extname(path).toLowerCase();
  if (path.startsWith(`${folder}/`))
    return [`models/${folder}/${path}: one level too deep; workflows must call it ${path}`];
  if (folder !== 'diffusers' && !MODEL_EXTENSIONS.has(extension))
    return [`models/${folder}/${path}: ComfyUI ignores files with the extension "${extension}"`];
  if (WEIGHTS.has(extension) && bytes < MIN_WEIGHT_BYTES)
    return [
      `models/${folder}/${path}: only ${bytes} bytes; download it again (this is a Git LFS pointer or an error page)`,
    ];
  return [];
}

function describe(files: readonly File[]): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const count = files.length === MAX_FILES ? `${MAX_FILES} files or more` : `${files.length} files`;
  const shown = files.slice(0, SHOWN_FILES).map(({ path }) => path);
  const names = files.length > SHOWN_FILES ? [...shown, '...'] : shown;
  return `${count}, ${(bytes / 1e9).toFixed(1)} GB (${names.join(', ')})`;
}

/** @returns undefined when there is no such folder. Hidden entries are left out. A link counts as a file, so loops are harmless. */
async function listFolder(path: string) {
  const folders: string[] = [];
  const files: string[] = [];
  try {
    for await (const entry of await opendir(path)) {
      if (entry.name.startsWith('.')) continue;
      (entry.isDirectory() ? folders : files).push(entry.name);
      if (files.length + folders.length === MAX_FILES) break;
    }
  } catch {
    return undefined;
  }
  return { folders: folders.sort(), files: files.sort() };
}

async function filesBelow(folder: string): Promise<readonly File[]> {
  const files: File[] = [];
  const open = [folder];
  for (let next = open.pop(); next !== undefined && files.length < MAX_FILES; next = open.pop()) {
    const listed = await listFolder(next);
    for (const name of listed?.files.slice(0, MAX_FILES - files.length) ?? []) {
      const path = join(next, name);
      const { size } = await stat(path).catch(() => ({ size: 0 }));
      files.push({ path: relative(folder, path), bytes: size });
    }
    open.push(...(listed?.folders ?? []).map((name) => join(next, name)));
  }
  return files;
}
