import type { PyDict, PyValue } from '../python/python-json.ts';
import { pyStr } from '../python/python-text.ts';
import type { Profile } from '../profile.ts';

/** Outputs of a finished prompt as `/api/jobs` counts and shows them (ComfyUI's `comfy_execution/jobs.py`). */

export type Outputs = ReadonlyMap<string, PyValue>;

interface Item {
  readonly nodeId: string;
  readonly mediaType: string;
  readonly value: PyValue;
}

export interface OutputsSummary {
  /** Files and other dicts. Texts do not count. */
  readonly count: number;
  /** Those the editor can show. */
  readonly previewable: number;
  /** The first one the editor can show: saved media before temporary ones, before text files, before texts. */
  readonly preview: Map<string, unknown> | undefined;
}

export function summarizeOutputs(outputs: Outputs, { cancelsJobs }: Profile): OutputsSummary {
  const items = itemsOf(outputs);
  const files = items.flatMap((item) => {
    const file = cancelsJobs
      ? fileOf(item.value)
      : item.value instanceof Map
        ? item.value
        : undefined;
    return file ? [{ ...item, file }] : [];
  });
  const shown = files.filter(({ mediaType, file }) => isShowable(mediaType, file, cancelsJobs));
  const media = shown.filter((item) => !cancelsJobs || !isText(item.mediaType, item.file));
  const preview = media.find(({ file }) => file.get('type') === 'output') ?? media[0] ?? shown[0];
  return {
    count: files.length,
    previewable: shown.length,
    preview: preview
      ? described(preview, preview.file)
      : cancelsJobs
        ? textPreview(items)
        : undefined,
  };
}

/** The outputs in the detail of a job: names of 3D files become files, nulls are left out. */
export function normalizeOutputs(outputs: Outputs): Map<string, unknown> {
  const normalize = (value: PyValue) =>
    value instanceof Map
      ? new Map([...value].map(([type, list]) => [type, isList(type, list) ? files(list) : list]))
      : value;
  const files = (list: readonly PyValue[]) =>
    list.filter((item) => item !== null).map((item) => fileOf(item) ?? item);
  return new Map([...outputs].map(([id, value]) => [id, normalize(value)]));
}

function itemsOf(outputs: Outputs): Item[] {
  return [...outputs].flatMap(([nodeId, node]) =>
    !(node instanceof Map)
      ? []
      : [...node].flatMap(([mediaType, list]) =>
          isList(mediaType, list) ? list.map((value) => ({ nodeId, mediaType, value })) : [],
        ),
  );
}

const isList = (mediaType: string, list: PyValue): list is PyValue[] =>
  mediaType !== 'animated' && Array.isArray(list);

/** Some nodes show 3D files by their names only. */
function fileOf(value: PyValue): PyDict | undefined {
  if (value instanceof Map) return value;
  if (typeof value !== 'string' || !MESH_NAME.test(value)) return undefined;
  const file = { filename: value, type: 'output', subfolder: '', mediaType: '3d' };
  return new Map(Object.entries(file));
}

const MESH_NAME = /\.(?:obj|fbx|gltf|glb|usdz)$/i;
const TEXT_NAME = /\.(?:txt|md|json)$/i;

function isShowable(mediaType: string, file: PyDict, later: boolean): boolean {
  if (['images', 'video', 'audio'].includes(mediaType)) return true;
  if (later && ['3d', 'text'].includes(mediaType)) return true;
  if (/^(?:video|audio)\//.test(textOf(file, 'format'))) return true;
  const name = textOf(file, 'filename');
  return MESH_NAME.test(name) || (later && TEXT_NAME.test(name));
}

const isText = (mediaType: string, file: PyDict) =>
  mediaType === 'text' || TEXT_NAME.test(textOf(file, 'filename'));

function textOf(file: PyDict, key: string): string {
  const value = file.get(key);
  return typeof value === 'string' ? value : '';
}

function described({ nodeId, mediaType }: Item, content: ReadonlyMap<string, unknown>) {
  const own = content.has('mediaType') ? [] : [['mediaType', mediaType] as const];
  return new Map<string, unknown>([...content, ['nodeId', nodeId], ...own]);
}

/** Only for a prompt that showed nothing but texts. */
function textPreview(items: readonly Item[]): Map<string, unknown> | undefined {
  const item = items.find(({ mediaType, value }) => mediaType === 'text' && !fileOf(value));
  if (!item) return undefined;
  const [...characters] = pyStr(item.value);
  const isLong = characters.length > MAX_TEXT_PREVIEW;
  const content: [string, unknown][] = [
    ['content', characters.slice(0, MAX_TEXT_PREVIEW).join('')],
    ...(isLong ? [['truncated', true] as [string, unknown]] : []),
  ];
  return described(item, new Map(content));
}

const MAX_TEXT_PREVIEW = 1024;
