import { open, stat } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { empty, json, type Answer, type Exchange } from './answers.ts';
import { isInside } from '../folders.ts';
import type { ComfyProcess } from '../process.ts';
import { readJson } from '../python/python-json.ts';
import { describeClasses } from '../nodes/node.ts';

/** What a server says about itself: node classes, models, folders, and the machine. */

export async function objectInfo({ comfy: { catalogue }, id }: Exchange): Promise<Answer> {
  const known = id === '' || catalogue.nodes.has(id);
  const names = id === '' ? [...catalogue.nodes.keys()] : [id];
  const described = await describeClasses(known ? names : [], catalogue);
  return json(new Map([...described].map(([name, { info }]) => [name, info])));
}

export const listModelFolders = ({ comfy }: Exchange): Answer => json(comfy.profile.modelFolders);

export function listModels({ comfy, id }: Exchange): Answer {
  if (!comfy.profile.modelFolders.includes(id)) return empty(404);
  return json(namesIn(id, comfy));
}

const namesIn = (folder: string, { catalogue }: ComfyProcess): readonly string[] =>
  catalogue.host.models[folder] ?? [];

export function listEmbeddings({ comfy }: Exchange): Answer {
  return json(namesIn('embeddings', comfy).map((name) => name.replace(/\.[^.]*$/, '')));
}

/** Folders of models and custom nodes, beside the input folder. ComfyUI does not list the input folder itself. */
export function folderPaths({ comfy }: Exchange): Answer {
  return json(new Map(comfy.profile.modelFolders.map((name) => [name, [folderOf(name, comfy)]])));
}

function folderOf(name: string, { catalogue }: ComfyProcess): string {
  const root = dirname(catalogue.host.folders.input);
  const isModel = name !== 'custom_nodes' && name !== 'datasets';
  return isModel ? join(root, 'models', name) : join(root, name);
}

/** `/experiment/models`: the model folders as the editor's model library asks for them. */
export function describeModelFolders({ comfy }: Exchange): Answer {
  const names = comfy.profile.modelFolders.filter(
    (name) => !/^(?:configs|custom_nodes)$/.test(name),
  );
  return json(
    names.map((name) => ({
      name,
      folders: [folderOf(name, comfy)],
      extensions: EXTENSIONS[name] ?? MODEL_EXTENSIONS,
    })),
  );
}

const MODEL_EXTENSIONS = '.bin .ckpt .pkl .pt .pt2 .pth .safetensors .sft'.split(' ');
const EXTENSIONS: Readonly<Record<string, readonly string[]>> = {
  diffusers: ['folder'],
  datasets: [],
  classifiers: [''],
};

/** Models that are only names have no size and no date. */
export async function describeModels({ comfy, id }: Exchange): Promise<Answer> {
  if (!comfy.profile.modelFolders.includes(id)) return empty(404);
  const described = namesIn(id, comfy).map(async (name) => {
    const file = await stat(join(folderOf(id, comfy), name)).catch(() => undefined);
    const [modified, created] = [file?.mtimeMs ?? 0, file?.ctimeMs ?? 0];
    const times = { modified: modified / 1000, created: created / 1000 };
    return { name, pathIndex: 0, ...times, size: file?.size ?? 0 };
  });
  return json(await Promise.all(described));
}

/** The metadata of a `.safetensors` file in a model folder. */
export async function viewMetadata({ comfy, id, query }: Exchange): Promise<Answer> {
  const name = query.get('filename');
  if (!name?.endsWith('.safetensors') || !comfy.profile.modelFolders.includes(id))
    return empty(404);
  const folder = folderOf(id, comfy);
  const path = resolve(folder, name);
  const isFile = await stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
  if (!isFile || !isInside(folder, path)) return empty(404);
  const header = await readHeader(path);
  const metadata = header === undefined ? undefined : readJson(header);
  const members = metadata instanceof Map ? metadata.get('__metadata__') : undefined;
  return members === undefined ? empty(404) : json(members);
}

/** The JSON at the beginning of a safetensors file. Undefined above one megabyte. */
async function readHeader(path: string): Promise<string | undefined> {
  await using file = await open(path);
  const start = Buffer.alloc(8);
  await file.read(start, 0, 8, 0);
  const bytes = Number(start.readBigUInt64LE());
  if (bytes > MAX_HEADER_BYTES) return undefined;
  const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 8);
  return buffer.toString('utf8', 0, bytesRead);
}

const MAX_HEADER_BYTES = 1024 * 1024;

/** As ComfyUI on a CPU answers, plus `simulated: true`. */
export function systemStats({ comfy: { profile } }: Exchange): Answer {
  const [total, free] = [totalmem(), freemem()];
  const { required_frontend_version, ...versions } = profile.system;
  const { deploy_environment, ...packages } = versions;
  return json({
    system: {
      os: 'linux',
      ram_total: total,
      ram_free: free,
      comfyui_version: profile.version,
      required_frontend_version,
      ...packages,
      python_version: 'none',
      pytorch_version: 'none',
      embedded_python: false,
      deploy_environment,
      argv: ['main.py', '--cpu'],
      simulated: true,
    },
    devices: [
      {
        name: 'cpu',
        type: 'cpu',
        index: null,
        vram_total: total,
        vram_free: free,
        torch_vram_total: total,
        torch_vram_free: free,
      },
    ],
  });
}
