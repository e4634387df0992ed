import type { EditorFile, EditorNode } from './editor-file.ts';
import type { NodeReader } from './promoted-values.ts';

/**
 * `%Node title.widget%` and `%date:yyyy-MM-dd%` in the file names of savers. The editor replaces them before
 * it submits a prompt; ComfyUI itself knows only `%width%`, `%year%` and the like.
 */

/** Whether the editor, or the page of the node's pack, replaces the text of this input. */
export function namesFiles(type: string, input: string): boolean {
  if (EASY_USE.has(type)) return input === 'filename_prefix' || input === 'save_prefix';
  return input === 'filename_prefix' && (CORE_SAVERS.has(type) || PACK_SAVERS.has(type));
}

/** ComfyUI's own savers. They have no name by which others refer to them. */
const CORE_SAVERS: ReadonlySet<string> = new Set([
  'CLIPSave',
  'LoraSave',
  'ModelSave',
  'Save3DAdvanced',
  'SaveAnimatedPNG',
  'SaveAnimatedWEBP',
  'SaveAudio',
  'SaveAudioAdvanced',
  'SaveAudioMP3',
  'SaveAudioOpus',
  'SaveGLB',
  'SaveGaussianSplat',
  'SaveImage',
  'SaveImageAdvanced',
  'SaveLatent',
  'SavePointCloud',
  'SaveSVGNode',
  'SaveVideo',
  'SaveWEBM',
  'VAESave',
]);

/** Savers of KJNodes and VideoHelperSuite. */
const PACK_SAVERS: ReadonlySet<string> = new Set([
  'DecodeAndSaveVideo',
  'LoraExtractKJ',
  'ModelSaveKJ',
  'SaveImageKJ',
  'SaveImageWithAlpha',
  'SaveStringKJ',
  'VHS_VideoCombine',
]);

const EASY_USE: ReadonlySet<string> = new Set([
  'easy detailerFix',
  'easy fullkSampler',
  'easy imageSave',
  'easy kSampler',
  'easy kSamplerDownscaleUnet',
  'easy kSamplerInpainting',
  'easy kSamplerSDTurbo',
  'easy kSamplerTiled',
]);

/** Replaces what can be replaced. A node or widget that does not exist leaves the text as it is. */
export function replaceText(text: string, file: EditorFile, reader: NodeReader): string {
  if (!text.includes('%')) return text;
  return text.replace(/%([^%]+)%/g, (token, content: string) => {
    const parts = content.split('.');
    const [nodeName = '', widget = ''] = parts;
    if (parts.length !== 2) {
      return nodeName.startsWith('date:') ? formatDate(nodeName.slice(5), new Date()) : token;
    }
    const node = findNode(nodeName, file, reader);
    const value = node && widgetText(node, widget, reader);
    return value === undefined ? token : value.replaceAll(NOT_IN_FILE_NAMES, '_');
  });
}

const NOT_IN_FILE_NAMES = /[/?<>\\:*|"\x00-\x1F\x7F]/g;

/** The first node with this name in its properties, else the first with this title. */
function findNode(name: string, file: EditorFile, reader: NodeReader): EditorNode | undefined {
  const known = namedNodes.get(file) ?? readNames(file, reader);
  namedNodes.set(file, known);
  return known.get(name);
}

/** By name. A file is converted once, so its names are, too. */
const namedNodes = new WeakMap<EditorFile, ReadonlyMap<string, EditorNode>>();

function readNames({ graph, subgraphs }: EditorFile, reader: NodeReader) {
  const nodes = [graph, ...subgraphs.values()].flatMap((one) => [...one.nodes.values()]);
  const named = nodes.map((node) => [nameOf(node, reader), node] as const);
  const titled = nodes.map(
    (node) => [node.title ?? reader.infoOf(node.type)?.displayName ?? node.type, node] as const,
  );
  const found = new Map<string, EditorNode>();
  for (const [name, node] of [...named, ...titled]) {
    if (name !== undefined && !found.has(name)) found.set(name, node);
  }
  return found;
}

/** The name that the editor offers for search and replace. It is the class until the user changes it. */
function nameOf({ type, properties }: EditorNode, { infoOf }: NodeReader): string | undefined {
  const own = properties?.get('Node name for S&R')?.asString();
  return own ?? (infoOf(type) && !CORE_SAVERS.has(type) ? type : undefined);
}

function widgetText(node: EditorNode, widget: string, reader: NodeReader): string | undefined {
  const isPrimitive = node.type === 'PrimitiveNode' && widget === 'value';
  const value = isPrimitive ? node.values?.items()[0] : reader.savedValuesOf(node)?.get(widget);
  if (value?.kind === 'null') return '';
  return value?.kind === 'number' ? String(Number(value.text)) : (value?.asString() ?? value?.text);
}

/** `yyyy`, `yy`, `MM`, `M`, `dd`, `d`, `hh`, `h`, `mm`, `m`, `ss` and `s`, in local time. */
function formatDate(format: string, date: Date): string {
  const parts: Readonly<Record<string, number>> = {
    d: date.getDate(),
    M: date.getMonth() + 1,
    h: date.getHours(),
    m: date.getMinutes(),
    s: date.getSeconds(),
  };
  return format.replace(/dd?|MM?|hh?|mm?|ss?|yyy?y?/g, (part) => {
    const year = String(date.getFullYear());
    if (part === 'yyyy') return year;
    if (part === 'yy') return year.slice(2);
    const number = parts[part.charAt(0)];
    return number === undefined ? part : String(number).padStart(part.length, '0');
  });
}
