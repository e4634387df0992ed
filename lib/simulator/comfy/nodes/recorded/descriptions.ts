/**
 * Descriptions of node classes in `classes.json`: what `/object_info` of a running ComfyUI 0.33.0 said, without prose and
 * without members that have their usual value. The file holds facts from that server's answer, no code of ComfyUI. One class
 * per line, so that only the classes in use are parsed.
 *
 * Lists of files are written as `@` and a source: `@loras` for the server's models, `@input:image` for files of the input
 * folder.
 */

import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import mime from 'mime';
import { PyFloat, readJson, type PyValue } from '../../python/python-json.ts';
import type { NodeHost } from '../node.ts';
import type { InputSpec, NodeInfo } from '../node-info.ts';
import { listInputFiles, listInputMedia } from '../input-files.ts';

/** The recorded classes, in the order of `/object_info`. The file is read at the first call. */
export function recordedNames(): Iterable<string> {
  return lines().keys();
}

export function isRecorded(name: string): boolean {
  return lines().has(name);
}

/** The entry of a recorded class in `/object_info`, with this server's files. @throws RangeError for an unknown class. */
export async function describeRecorded(name: string, host: NodeHost): Promise<NodeInfo> {
  const info = recordedInfo(name);
  if (!info.listsFiles) return info.description;
  return (await withFiles(info.description, host)) as NodeInfo;
}

/** The entry of a recorded class, with `@` sources instead of file names. */
export function describeWithoutFiles(name: string): NodeInfo {
  return recordedInfo(name).description;
}

interface RecordedInfo {
  readonly description: NodeInfo;
  readonly listsFiles: boolean;
}

let texts: Map<string, string> | undefined;
const parsed = new Map<string, RecordedInfo>();

function lines(): Map<string, string> {
  texts ??= readLines(readFileSync(new URL('classes.json', import.meta.url), 'utf8'));
  return texts;
}

/** Each line but the first and the last is `"Name":{...},`. */
function readLines(file: string): Map<string, string> {
  const entries = file.split('\n').slice(1, -2);
  return new Map(
    entries.map((line) => {
      const end = line.indexOf('":{');
      return [line.slice(1, end), line.slice(end + 2).replace(/,$/, '')];
    }),
  );
}

function recordedInfo(name: string): RecordedInfo {
  const known = parsed.get(name);
  if (known) return known;
  const line = lines().get(name);
  if (line === undefined) throw new RangeError(`No recorded class is called ${name}`);
  const info = {
    description: complete(name, toDescription(readJson(line)) as RecordedClass),
    listsFiles: line.includes('"@'),
  };
  parsed.set(name, info);
  return info;
}

/** A class in `classes.json`. `schema` marks the newer style of nodes, whose entries have more members. */
interface RecordedClass {
  readonly input: Readonly<Record<string, Readonly<Record<string, InputSpec>>>>;
  readonly is_input_list?: boolean;
  readonly output?: readonly unknown[];
  readonly output_is_list?: readonly boolean[];
  readonly output_name?: readonly string[];
  readonly schema?: boolean;
  readonly output_matchtypes?: readonly string[];
  readonly display_name?: string;
  readonly module: string;
  readonly category: string;
  readonly output_node?: boolean;
  readonly deprecated?: boolean;
  readonly experimental?: boolean;
  readonly has_intermediate_output?: boolean;
}

function complete(name: string, recorded: RecordedClass): NodeInfo {
  const { input, output = [], schema = false, deprecated = false, experimental = false } = recorded;
  const groups = Object.entries(input).map(([group, specs]) => [group, Object.keys(specs)]);
  const has_intermediate_output = recorded.has_intermediate_output ?? false;
  return {
    input,
    input_order: Object.fromEntries(groups) as Record<string, string[]>,
    is_input_list: recorded.is_input_list ?? false,
    output,
    output_is_list: recorded.output_is_list ?? output.map(() => false),
    output_name: recorded.output_name ?? output.map(String),
    ...(schema && { output_matchtypes: recorded.output_matchtypes ?? null }),
    name,
    display_name: recorded.display_name ?? null,
    python_module: recorded.module,
    category: recorded.category,
    output_node: recorded.output_node ?? false,
    ...(schema
      ? { deprecated, experimental, dev_only: false, api_node: false, price_badge: null }
      : {}),
    has_intermediate_output,
    ...(!schema && experimental && { experimental }),
    ...(!schema && deprecated && { deprecated }),
  };
}

/** Plain objects and lists. Floats without a fraction stay {@link PyFloat}, because Python writes them as `1.0`. */
function toDescription(value: PyValue): unknown {
  if (value instanceof PyFloat) return Number.isInteger(value.value) ? value : value.value;
  if (Array.isArray(value)) return value.map(toDescription);
  if (!(value instanceof Map)) return value;
  const members = [...value].map(([key, member]) => [key, toDescription(member)]);
  return Object.fromEntries(members) as unknown;
}

/** Replaces the sources of files by their names. */
async function withFiles(value: unknown, host: NodeHost): Promise<unknown> {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) =>
      typeof item === 'string' && item.startsWith('@')
        ? listFiles(item.slice(1), host)
        : withFiles(item, host).then((one) => [one]),
    );
    return (await Promise.all(items)).flat();
  }
  if (typeof value !== 'object' || value === null || value instanceof PyFloat) return value;
  const members = Object.entries(value).map(
    async ([key, member]) => [key, await withFiles(member, host)] as const,
  );
  return Object.fromEntries(await Promise.all(members));
}

async function listFiles(source: string, host: NodeHost): Promise<readonly unknown[]> {
  switch (source) {
    case 'input:image':
    case 'input:video':
      return listInputMedia(host, source === 'input:image' ? 'image' : 'video');
    case 'input:audio':
      return (await listInputFiles(host)).filter((name) =>
        /^(audio|video)\//.test(mime.getType(name) ?? ''),
      );
    case 'input:latent':
      return (await listInputFiles(host)).filter((name) => name.endsWith('.latent'));
    case 'input:3d':
      return (await listInputFiles(host)).filter((name) => MODEL_3D.test(name));
    case 'input:folder':
      return listFolders(host.folders.input);
    case 'output:folder':
      return listFolders(host.folders.output);
    default:
      return host.models[source] ?? [];
  }
}

const MODEL_3D = /\.(glb|gltf|obj|fbx|stl|usdz|ply|splat|spz|ksplat)$/i;

async function listFolders(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}
