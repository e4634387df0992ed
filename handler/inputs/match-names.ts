import { choicesOf, hasChoice, listChoices, nearest } from '../../lib/choices.ts';
import type { ComfyBackend } from '../../lib/comfy/backend.ts';
import { isError } from '../../lib/errors.ts';
import type { JsonText } from '../../lib/json.ts';
import { complaint, type Complaint } from '../../lib/workflow/check/check-inputs.ts';
import { declarationOf } from '../../lib/workflow/check/dynamic-inputs.ts';
import { nodeLabel, readGraph, type GraphNode } from '../../lib/workflow/graph.ts';
import type { NodeInfos } from '../../lib/workflow/node-info.ts';
import type { JobScope } from '../job-scope.ts';
import { loaderOf } from './input-links.ts';
import { isFileName, nameKey, readAnnotation } from './input-names.ts';

/** A file that came with the job. */
export interface SentFile {
  /** The name the caller gave it. Undefined for a file that was downloaded from a URL in the workflow. */
  readonly label?: string | undefined;
  /** Its path in ComfyUI's input folder. */
  readonly path: string;
}

export interface MatchedNames {
  readonly workflow: JsonText;
  /** The loaders of sent files. */
  readonly loaders: readonly LoaderOfSent[];
  /** By node: files that ComfyUI does not have and that were not sent. Only where ComfyUI refuses such a node. */
  readonly missingFiles: ReadonlyMap<string, readonly Complaint[]>;
}

export interface LoaderOfSent {
  readonly nodeId: string;
  readonly inputName: string;
  readonly path: string;
}

interface MatchOptions {
  readonly comfy: Pick<ComfyBackend, 'describeNodes' | 'hasFile'>;
  readonly scope: Pick<JobScope, 'signal' | 'note'>;
}

/** An input that may name a file. */
interface FileInput {
  readonly node: GraphNode;
  readonly inputName: string;
  readonly value: JsonText;
  readonly text: string;
}

/** The name to use: the same, that of a sent file, another one that ComfyUI lists, or none. */
type Match =
  | { readonly kind: 'same' }
  | { readonly kind: 'sent'; readonly path: string }
  | { readonly kind: 'listed'; readonly choice: string }
  | { readonly kind: 'missing'; readonly similar: readonly string[] };

/**
 * Makes the file names in a workflow those that ComfyUI knows. A name that ComfyUI knows, or under which a file was sent,
 * is kept. Any other is replaced only if exactly one known name differs from it in nothing but case, `%20` and the like,
 * Unicode form or the kind of slash. For a loader, sent files come before files that ComfyUI happens to have.
 */
export async function matchNames(
  workflow: JsonText,
  sent: readonly SentFile[],
  { comfy, scope }: MatchOptions,
): Promise<MatchedNames> {
  const { signal } = scope;
  const inputs = [...readGraph(workflow).values()].flatMap(fileInputsOf);
  if (inputs.length === 0) return { workflow, loaders: [], missingFiles: new Map() };
  const infos = await comfy.describeNodes(classesOf(inputs), { signal });
  const matches = await findMatches(inputs, infos, { sent, comfy, signal });

  const edits: [JsonText, string][] = [];
  const loaders: LoaderOfSent[] = [];
  const missingFiles = new Map<string, Complaint[]>();
  for (const input of inputs) {
    const { node, inputName, value, text } = input;
    const { nodeId } = node;
    const match = matches.get(input);
    if (match?.kind === 'sent') loaders.push({ nodeId, inputName, path: match.path });
    const name = replacement(match, text);
    if (name !== undefined) {
      edits.push([value, JSON.stringify(name)]);
      const change = `${JSON.stringify(text)} was changed to ${JSON.stringify(name)}`;
      scope.note(`Node ${nodeLabel(node)}: ${inputName} ${change}`);
    }
    if (match?.kind !== 'missing') continue;
    const known = describeKnown(text, { sent, similar: match.similar });
    const noun = checkedNoun(node, infos);
    if (noun !== undefined) {
      const extra = { input_name: inputName, received_value: value, noun, known };
      const before = missingFiles.get(nodeId) ?? [];
      missingFiles.set(nodeId, [...before, complaint('input_file_missing', extra)]);
    } else scope.note(`Node ${nodeLabel(node)}: ${inputName} ${value.text} is no file; ${known}`);
  }
  return { workflow: workflow.replacingAll(edits), loaders, missingFiles };
}

/**
 * The inputs of known loaders, and all others whose value looks like a file name. An empty name means no file to some
 * loaders; ComfyUI's own take it for their folder, and fail.
 */
function fileInputsOf(node: GraphNode): FileInput[] {
  return [...(node.inputs ?? [])].flatMap(([inputName, value]) => {
    const text = value.asString();
    if (text === undefined) return [];
    const isNamed = isFileName(text) || loaderOf(node.classType, inputName)?.by === 'name';
    const mayBeEmpty = CHECKED[node.classType ?? ''] === undefined;
    return isNamed && (text !== '' || !mayBeEmpty) ? [{ node, inputName, value, text }] : [];
  });
}

const classesOf = (inputs: readonly FileInput[]) =>
  new Set(inputs.map(({ node }) => node.classType ?? ''));

interface Search {
  readonly sent: readonly SentFile[];
  readonly comfy: MatchOptions['comfy'];
  readonly signal: AbortSignal;
}

/** Inputs that are no loaders and not in the list of their combo have no match: the preflight and ComfyUI judge them. */
async function findMatches(
  inputs: readonly FileInput[],
  infos: NodeInfos | undefined,
  search: Search,
): Promise<ReadonlyMap<FileInput, Match | undefined>> {
  const isLoader = ({ node, inputName }: FileInput) =>
    loaderOf(node.classType, inputName, declarationOf(node, inputName, infos))?.by === 'name';
  const found = await Promise.all(
    inputs.map(async (input) => {
      const match = isLoader(input)
        ? ((await matchExactly(input, search)) ?? matchSent(input, search.sent))
        : matchChoice(input, infos);
      return [input, match] as const;
    }),
  );
  const isUnclear = (input: FileInput, match: Match | undefined) =>
    match ? match.kind === 'listed' || match.kind === 'missing' : isLoader(input);
  const unclear = found.filter(([input, match]) => isUnclear(input, match)).map(([input]) => input);
  if (unclear.length === 0) return new Map(found);

  // The lists may be from an earlier job. What was installed since then must not be replaced.
  const { comfy, signal, sent } = search;
  const fresh = (await comfy.describeNodes(classesOf(unclear), { signal, fresh: true })) ?? infos;
  const judged = unclear.map((input) => {
    const match = isLoader(input) ? matchListed(input, sent, fresh) : matchChoice(input, fresh);
    return [input, match] as const;
  });
  return new Map([...found, ...judged]);
}

/** A file that was sent, or that ComfyUI has, under exactly this name. */
async function matchExactly(
  { text }: FileInput,
  { sent, comfy, signal }: Search,
): Promise<Match | undefined> {
  const { path, type } = readAnnotation(text);
  const found = sent.find(
    (file) => file.label === text || (file.path === path && type === 'input'),
  );
  if (found) return { kind: 'sent', path: found.path };
  // A path out of the folder: some versions of ComfyUI read it, and none shows whether it is there.
  if (/^(?:[\\/]|[a-z]:)|(?:^|[\\/])\.\.(?:[\\/]|$)/i.test(path)) {
    const similar = matchSent({ text }, sent);
    return similar?.kind === 'sent' ? similar : { kind: 'same' };
  }
  const slash = path.lastIndexOf('/');
  const subfolder = path.slice(0, Math.max(0, slash));
  try {
    const isThere = await comfy.hasFile(
      { filename: path.slice(slash + 1), subfolder, type },
      signal,
    );
    return isThere ? { kind: 'same' } : undefined;
  } catch (error) {
    signal.throwIfAborted();
    if (!isError(error)) throw error;
    return { kind: 'same' }; // ComfyUI will say itself what is wrong
  }
}

/** The sent file with a similar name. If there are several, none of them is meant for certain. */
function matchSent(
  { text }: Pick<FileInput, 'text'>,
  sent: readonly SentFile[],
): Match | undefined {
  const key = nameKey(readAnnotation(text).path);
  const isSimilar = ({ label, path }: SentFile) =>
    [path, readAnnotation(label ?? path).path].some((name) => nameKey(name) === key);
  const paths = new Set(sent.filter(isSimilar).map(({ path }) => path));
  const [path] = paths;
  if (path === undefined) return undefined;
  return paths.size === 1 ? { kind: 'sent', path } : { kind: 'missing', similar: [...paths] };
}

/** For a loader whose file neither was sent nor is in ComfyUI's folder. */
function matchListed(
  input: FileInput,
  sent: readonly SentFile[],
  infos: NodeInfos | undefined,
): Match {
  const listed = matchChoice(input, infos);
  if (listed?.kind === 'same') return listed; // such as "none"
  const similar = matchSent(input, sent) ?? listed;
  if (similar) return similar;
  const choices = choicesOf(declarationOf(input.node, input.inputName, infos)) ?? [];
  const names = new Set([...sent.map(({ path }) => path), ...choices]);
  const { path } = readAnnotation(input.text);
  return { kind: 'missing', similar: nearest([...names], path, MAX_NEAREST) };
}

/** For a combo: whether it lists the value, or only one that is similar. Undefined if there is no list, or no such value in it. */
function matchChoice(
  { node, inputName, text }: FileInput,
  infos: NodeInfos | undefined,
): Match | undefined {
  const declaration = declarationOf(node, inputName, infos);
  const isListed = hasChoice(declaration, text);
  if (isListed === undefined) return undefined;
  if (isListed) return { kind: 'same' };
  const key = nameKey(readAnnotation(text).path);
  const similar = (choicesOf(declaration) ?? []).filter((choice) => nameKey(choice) === key);
  const [choice] = similar;
  return choice !== undefined && similar.length === 1 ? { kind: 'listed', choice } : undefined;
}

/** The name to write instead of `text`; undefined to leave it. */
function replacement(match: Match | undefined, text: string): string | undefined {
  if (match?.kind === 'listed') return match.choice;
  if (match?.kind !== 'sent') return undefined;
  const { path, type } = readAnnotation(text);
  return path === match.path && type === 'input' ? undefined : match.path;
}

/** The sent text, and names that the caller may have meant. */
function describeKnown(
  text: string,
  { sent, similar }: { readonly sent: readonly SentFile[]; readonly similar: readonly string[] },
): string {
  const labels = sent.flatMap(({ label }) => label ?? []);
  const came =
    labels.length === 0
      ? 'no file came with the job'
      : `sent with the job: ${listChoices(labels, text)}`;
  return similar.length === 0 ? came : `${came}; did you mean ${similar.join(', ')}?`;
}

/**
 * ComfyUI's own loaders refuse a file that does not exist (`VALIDATE_INPUTS`): `Invalid image file: a.png`.
 * @returns the word for the file; undefined for a class that does not check.
 */
function checkedNoun({ classType = '' }: GraphNode, infos: NodeInfos | undefined) {
  const module = infos?.get(classType)?.get('python_module')?.asString() ?? '';
  return /^(?:nodes$|comfy_extras\.)/.test(module) ? CHECKED[classType] : undefined;
}

const CHECKED: Readonly<Record<string, string>> = {
  LoadImage: 'image',
  LoadImageMask: 'image',
  LoadImageOutput: 'image',
  LoadVideo: 'video',
  LoadAudio: 'audio',
  LoadLatent: 'latent',
};

const MAX_NEAREST = 3;

/** The workflow with the names under which ComfyUI has stored the files, where they differ from the requested ones. */
export function followStoredNames(
  workflow: JsonText,
  loaders: readonly LoaderOfSent[],
  storedPaths: ReadonlyMap<string, string>,
): JsonText {
  const edits = loaders.flatMap(({ nodeId, inputName, path }) => {
    const value = workflow.get(nodeId)?.get('inputs')?.get(inputName);
    const stored = storedPaths.get(path);
    if (!value || stored === undefined || stored === path) return [];
    return [[value, JSON.stringify(stored)] as const];
  });
  return edits.length > 0 ? workflow.replacingAll(edits) : workflow;
}
