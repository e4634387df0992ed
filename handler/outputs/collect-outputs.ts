import type { ComfyFile, PromptOutcome } from '../../lib/comfy/backend.ts';
import { WorkerError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import { nodeLabel, readGraph, type Graph } from '../../lib/workflow/graph.ts';
import type { OutputOptions } from '../request/output-options.ts';
import type { OutputFile } from './artifact.ts';

/** The caller's choice of the outputs that come back. */
export interface OutputChoice {
  /** Also previews, which ComfyUI keeps in its temp folder. */
  readonly includeTemp: boolean;
  isWanted(nodeId: string): boolean;
  /** The node's title in the editor. */
  titleOf(nodeId: string): string | undefined;
}

/** The default: every saved file and no preview. */
const ALL_SAVED: OutputChoice = {
  includeTemp: false,
  isWanted: () => true,
  titleOf: () => undefined,
};

/**
 * Resolves `output.nodes` and `output.includeTemp` against the workflow. Called before the workflow runs, so that a
 * misspelt node costs no GPU time.
 * @throws WorkerError `output.node_unknown` with a list of all nodes.
 */
export function chooseOutputs(
  workflow: JsonText,
  { nodes, includeTemp = false }: Pick<OutputOptions, 'nodes' | 'includeTemp'>,
): OutputChoice {
  const graph = readGraph(workflow);
  // A node that expands creates nodes like `5.0.0.1`. Their outputs belong to node 5, the one callers see.
  const visible = (nodeId: string) => (graph.has(nodeId) ? nodeId : nodeId.replace(/\..*$/s, ''));
  const titleOf = (nodeId: string) => graph.get(visible(nodeId))?.title;
  if (nodes === undefined) return { ...ALL_SAVED, includeTemp, titleOf };
  const wanted = new Set(nodes.flatMap((name) => findNodes(name, graph)));
  return { includeTemp, isWanted: (nodeId) => wanted.has(visible(nodeId)), titleOf };
}

/** An id wins over a title. If several nodes share the title, all of them are chosen. */
function findNodes(name: string, graph: Graph): readonly string[] {
  if (graph.has(name)) return [name];
  const nodes = [...graph.values()];
  const titled = nodes.filter(({ title }) => title === name);
  if (titled.length > 0) return titled.map(({ nodeId }) => nodeId);
  const names = nodes.map((node) => `\n  ${nodeLabel(node)}`);
  throw new WorkerError(
    'output.node_unknown',
    `output.nodes asks for ${JSON.stringify(name)}, which is neither the id nor the title of a node; there are:${names.join('')}`,
  );
}

/** A text that a node has made. */
export interface OutputText {
  readonly nodeId: string;
  /** The key in the node's output: `text`, `string`, `tags`, ... */
  readonly key: string;
  readonly text: string;
}

export interface CollectedOutputs {
  readonly outputFiles: readonly OutputFile[];
  readonly texts: readonly OutputText[];
  /** One text per entry that could not be used, in order. */
  readonly problems: readonly string[];
}

/**
 * The outputs of a prompt, in the order of ComfyUI's history: by node as executed, then by position within the node. Files
 * that nodes sent instead of saving them follow.
 */
export function collectOutputs(
  { outputs, promptId, ending }: Pick<PromptOutcome, 'outputs' | 'promptId' | 'ending'>,
  choice: OutputChoice = ALL_SAVED,
  sentFiles: readonly OutputFile[] = [],
): CollectedOutputs {
  const nodes = outputs?.entries() ?? [];
  if (nodes.length === 0) {
    const isMissing = ending === 'succeeded' && sentFiles.length === 0;
    const missing = `No outputs found in history for prompt ${promptId}.`;
    return { outputFiles: sentFiles, texts: [], problems: isMissing ? [missing] : [] };
  }
  const wanted = nodes.filter(([nodeId]) => choice.isWanted(nodeId));
  const collected = wanted.map(([nodeId, output]) => outputFilesOf(nodeId, output, choice));
  return {
    outputFiles: [...collected.flatMap(({ outputFiles }) => outputFiles), ...sentFiles],
    texts: wanted.flatMap(([nodeId, output]) => textsOf(nodeId, output)),
    problems: collected.flatMap(({ problems }) => problems),
  };
}

/**
 * The files of one node: first its `images`, then files under other keys. A file listed twice is returned once. An entry
 * of `images`, `gifs` or `videos` without a filename is a problem; other keys may hold anything, so entries without one are skipped.
 */
export function outputFilesOf(
  nodeId: string,
  output: JsonText,
  choice: OutputChoice = ALL_SAVED,
): Pick<CollectedOutputs, 'outputFiles' | 'problems'> {
  if (!choice.isWanted(nodeId)) return { outputFiles: [], problems: [] };
  const { includeTemp } = choice;
  const outputFiles: OutputFile[] = [];
  const problems: string[] = [];
  for (const entry of output.get('images')?.items() ?? []) {
    const filename = entry.get('filename')?.asString();
    const subfolder = entry.get('subfolder')?.asString() ?? '';
    const type = entry.get('type')?.asString() ?? 'output';
    if (type === 'temp' && !includeTemp) continue;
    if (filename) outputFiles.push({ nodeId, key: 'images', filename, subfolder, type });
    else
      problems.push(
        `Skipping image in node ${nodeId} due to missing filename: ${shorten(entry.text)}`,
      );
  }
  const seen = new Set(outputFiles.map(fileKey));
  for (const [key, value] of output.entries()) {
    if (key === 'images') continue;
    const isVideo = VIDEO_KEYS.has(key);
    if (isVideo) problems.push(...namelessVideos(nodeId, value, choice));
    for (const entry of objectsWithFilename(value, FILE_NESTING)) {
      const filename = entry.get('filename')?.asString();
      const subfolder = entry.get('subfolder')?.asString() ?? '';
      const type = entry.get('type')?.asString() ?? (isVideo ? 'output' : '');
      if (!filename || !FOLDERS.has(type) || (type === 'temp' && !includeTemp)) continue;
      const file = { nodeId, key, filename, subfolder, type };
      if (!seen.has(fileKey(file))) outputFiles.push(file);
      seen.add(fileKey(file));
    }
  }
  return { outputFiles, problems };
}

/** Keys that nodes list videos under, as the Python worker reads them. A file there is saved unless it says otherwise. */
export const VIDEO_KEYS: ReadonlySet<string> = new Set(['gifs', 'videos']);

function namelessVideos(nodeId: string, videos: JsonText, { includeTemp }: OutputChoice): string[] {
  const nameless = videos.items().filter((entry) => {
    const isSkipped = entry.get('type')?.asString() === 'temp' && !includeTemp;
    return entry.kind === 'object' && !entry.get('filename')?.asString() && !isSkipped;
  });
  return nameless.map(
    ({ text }) => `Skipping video in node ${nodeId} due to missing filename: ${shorten(text)}`,
  );
}

/** All strings in a node's output, also those in lists. Strings inside objects describe files or views. */
function textsOf(nodeId: string, output: JsonText): OutputText[] {
  const collect = (value: JsonText, depth: number): string[] => {
    const text = value.asString();
    if (text !== undefined) return [text];
    return depth === 0 ? [] : value.items().flatMap((item) => collect(item, depth - 1));
  };
  return output
    .entries()
    .filter(([key]) => key !== 'images')
    .flatMap(([key, value]) => collect(value, TEXT_NESTING).map((text) => ({ nodeId, key, text })));
}

/** Custom nodes list their files under keys of their own, in lists or objects. */
function objectsWithFilename(value: JsonText, depth: number): JsonText[] {
  if (value.get('filename')) return [value];
  if (depth === 0) return [];
  const children = [...value.items(), ...value.entries().map(([, member]) => member)];
  return children.flatMap((child) => objectsWithFilename(child, depth - 1));
}

/** A text that identifies a file within ComfyUI. */
export function fileKey({ type, subfolder, filename }: ComfyFile): string {
  return JSON.stringify([type, subfolder, filename]);
}

const shorten = (text: string) => (text.length > 300 ? `${text.slice(0, 300)}...` : text);

/** The folders that `/view` reads from (`folder_paths.py`, `get_directory_by_type`). */
const FOLDERS: ReadonlySet<string> = new Set(['output', 'input', 'temp']);

/** Lists are usual; the deepest files seen in custom nodes are `[{"files": [{...}]}]`. */
const FILE_NESTING = 3;

/** A list, and lists within it: ComfyUI wraps the output of each item of a batch. */
const TEXT_NESTING = 2;
