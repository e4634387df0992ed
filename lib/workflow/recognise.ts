import { JsonText, objectText } from '../json.ts';

/**
 * Tells what a JSON text is that somebody sends as a job, an input, or a workflow. The API, the command line and the web
 * page ask here; the page loads this file into the browser, so it must not need Node.
 *
 *     a workflow             {"3": {"class_type": ..., "inputs": ...}}       API format
 *                            {"nodes": [...], "links": [...]}                the editor's format
 *     with both formats      {"prompt": ..., "workflow": ...}                metadata of a saved file
 *                            {"output": ..., "workflow": ...}                the editor's graphToPrompt
 *     a body of /prompt      {"prompt": ..., "extra_data": ..., "client_id": ...}
 *     an input               {"workflow": ..., "images": ..., ...}
 *     a job                  {"input": ...}
 *
 * Each of them may be where another one is expected, for example a job in `input.workflow`, or a string of JSON. If the
 * meaning is certain, the result is the input of a job. The text of the workflow is never changed.
 */
export type Recognised =
  | {
      /** `unclear`: nodes of which some are broken. ComfyUI can say what is wrong with them. */
      readonly kind: 'api' | 'editor' | 'unclear';
      /** For people: `a body of /prompt`. */
      readonly what: string;
      readonly workflow: JsonText;
      /** The input of a job with this workflow: the sent text itself if it is one, else a new text. */
      readonly input: JsonText;
    }
  /** An input that calls a workflow by name. */
  | { readonly kind: 'name'; readonly what: string; readonly input: JsonText }
  | {
      readonly kind: 'other';
      /** What it is, or what it contains: `an answer of /history`, `an object with "a", "b"`. */
      readonly what: string;
      /** It is certainly something else than a workflow. */
      readonly isKnown: boolean;
    };

export function recognise(sent: JsonText): Recognised {
  return recogniseIn(sent, 0);
}

function recogniseIn(sent: JsonText, depth: number): Recognised {
  const json = unquoted(sent);
  const format = formatOf(json);
  if (format) {
    const input = newInput(json, new Map());
    return { kind: format, what: FORMAT_NAMES[format], workflow: json, input };
  }
  if (json.kind !== 'object') return other(`a JSON ${json.kind}`, true);
  if (depth === MOST_WRAPPERS) return other('a job wrapped many times', true);
  const members = new Map(json.entries());
  return (
    ofBothFormats(members) ??
    ofWorkflowMember(json, members, depth) ??
    ofInputMember(members, depth) ??
    ofNodes(json, members)
  );
}

/** A body of `/prompt`, or a workflow in both formats. What ran (`prompt`, `output`) wins over its picture in the editor. */
function ofBothFormats(members: ReadonlyMap<string, JsonText>): Recognised | undefined {
  const key = ['prompt', 'output'].find((name) => {
    const format = formatOf(unquoted(members.get(name)));
    return format === 'api' || (format === 'editor' && name === 'prompt');
  });
  const graph = unquoted(members.get(key ?? ''));
  const format = formatOf(graph);
  if (key === undefined || !graph || !format) return undefined;
  const picture = unquoted(members.get('workflow'));
  if (picture && formatOf(picture) !== 'editor') return undefined; // an input, with a field of this name

  if ((members.get('partial_execution_targets')?.items().length ?? 0) > 0) {
    return other('a body of /prompt that runs only some nodes (partial_execution_targets)', true);
  }
  const extra = members.get('extra_data');
  const rest = new Map([...members].filter(([name]) => name !== key && !NOT_OF_A_JOB.has(name)));
  const given = [
    ['extra_pnginfo', extra?.get('extra_pnginfo')?.text],
    ['extra_pnginfo', picture && objectText([['workflow', picture.text]])],
    ['api_key_comfy_org', extra?.get('api_key_comfy_org')?.text],
  ] as const;
  const texts = textsOf(rest);
  for (const [name, text] of given) if (text && !texts.has(name)) texts.set(name, text);
  const isBody = extra !== undefined || members.has('client_id');
  const what = isBody || !picture ? 'a body of /prompt' : 'a workflow in both formats';
  return { kind: format, what, workflow: graph, input: newInput(graph, texts) };
}

/** An input: `{"workflow": ...}`. Its own fields win over those of a job or body within `workflow`. */
function ofWorkflowMember(
  json: JsonText,
  members: ReadonlyMap<string, JsonText>,
  depth: number,
): Recognised | undefined {
  const sent = members.get('workflow');
  if (!sent || sent.kind === 'null') return undefined;
  const workflow = unquoted(sent);
  if (workflow.kind === 'string') return { kind: 'name', what: AN_INPUT, input: json };
  const format = formatOf(workflow);
  if (format && workflow === sent) return { kind: format, what: AN_INPUT, workflow, input: json };
  const inner = recogniseIn(workflow, depth + 1);
  if (inner.kind === 'other') return inner;
  if (inner.kind === 'unclear' && inner.workflow === sent) return { ...inner, input: json };
  const texts = textsOf(new Map([...inner.input.entries(), ...members]));
  return { ...inner, input: newInput(inner.input.get('workflow')?.text ?? '', texts) };
}

/** A job: `{"input": ...}`. Its own options cannot be kept, because only the input reaches this place. */
function ofInputMember(
  members: ReadonlyMap<string, JsonText>,
  depth: number,
): Recognised | undefined {
  const sent = members.get('input');
  if (!sent || sent.kind === 'null') return undefined;
  const inner = recogniseIn(sent, depth + 1);
  if (inner.kind === 'other') return inner;
  const options = ['webhook', 'policy', 's3Config'].filter((name) => members.has(name));
  if (options.length === 0) return { ...inner, what: 'a job' };
  const list = options.map((name) => JSON.stringify(name)).join(' and ');
  return other(`a whole job with ${list}; send it as the request itself`, true);
}

function ofNodes(json: JsonText, members: ReadonlyMap<string, JsonText>): Recognised {
  const nodes = [...members].filter(([, node]) => node.get('class_type')?.kind === 'string');
  if (nodes.length > 0) {
    const broken = [...members].filter(([, node]) => !isNode(node)).map(([name]) => name);
    const what = `nodes in API format, but ${listed(broken)} has no class_type or no inputs`;
    return { kind: 'unclear', what, workflow: json, input: newInput(json, new Map()) };
  }
  const known = KNOWN.find(({ isIt }) => isIt(members));
  if (known) return other(known.what, true);
  return other(
    members.size === 0 ? 'an empty object' : `an object with ${listed([...members.keys()])}`,
  );
}

/** Things that people have at hand and take for a workflow. */
const KNOWN: readonly {
  readonly what: string;
  readonly isIt: (members: ReadonlyMap<string, JsonText>) => boolean;
}[] = [
  {
    what: "a file of the editor's node templates",
    isIt: (members) => members.get('templates')?.kind === 'array',
  },
  {
    what: 'an entry of ComfyUI\'s /history or /queue; its workflow is the third item of "prompt"',
    isIt: (members) => isHistory(members.get('prompt')),
  },
  {
    what: 'an answer of ComfyUI\'s /history; the workflow of an entry is the third item of its "prompt"',
    isIt: (members) => [...members.values()].some((entry) => isHistory(entry.get('prompt'))),
  },
  {
    what: "an answer of ComfyUI's /object_info, the list of node classes",
    isIt: (members) => {
      const entries = [...members.values()];
      return (
        entries.length > 0 && entries.every((entry) => entry.get('input') && entry.get('category'))
      );
    },
  },
  {
    what: 'a single node; send an object with a node under each id',
    isIt: (members) => members.get('class_type')?.kind === 'string' && members.has('inputs'),
  },
  {
    what: 'a file of the editor whose "nodes" are not a list',
    isIt: (members) => members.has('nodes') && members.has('links'),
  },
];

const isHistory = (prompt: JsonText | undefined) => formatOf(prompt?.items()[2]) === 'api';

/** Which of ComfyUI's two formats a text has; undefined if neither. */
export function formatOf(json: JsonText | undefined): 'api' | 'editor' | undefined {
  if (json?.kind !== 'object') return undefined;
  if (json.get('nodes')?.kind === 'array') return 'editor';
  const nodes = json.entries();
  return nodes.length > 0 && nodes.every(([, node]) => isNode(node)) ? 'api' : undefined;
}

const isNode = (node: JsonText) =>
  node.get('class_type')?.kind === 'string' && node.get('inputs')?.kind === 'object';

/** A string that holds an object of JSON is read as that object. */
export function unquoted(json: JsonText): JsonText;
export function unquoted(json: JsonText | undefined): JsonText | undefined;
export function unquoted(json: JsonText | undefined): JsonText | undefined {
  const text = json?.kind === 'string' ? json.text : '';
  if (!/^"\s*\{/.test(text)) return json;
  const inner = JsonText.maybeParse(json?.asString() ?? '');
  return inner?.kind === 'object' ? inner : json;
}

function newInput(workflow: JsonText | string, members: ReadonlyMap<string, string>): JsonText {
  const text = typeof workflow === 'string' ? workflow : workflow.text;
  const rest = [...members].filter(([name]) => name !== 'workflow');
  return JsonText.parse(objectText([['workflow', text], ...rest]));
}

const textsOf = (members: ReadonlyMap<string, JsonText>): Map<string, string> =>
  new Map([...members].map(([name, value]) => [name, value.text]));

function other(what: string, isKnown = false): Recognised {
  return { kind: 'other', what, isKnown };
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => JSON.stringify(name.slice(0, 60)));
  return `${shown.join(', ')}${names.length > 8 ? ', ...' : ''}`;
}

const FORMAT_NAMES = {
  api: 'a workflow in API format',
  editor: "a workflow in the editor's format",
} as const;
const AN_INPUT = 'the input of a job';

/** Members of a body of `/prompt` that mean nothing to a job. */
const NOT_OF_A_JOB: ReadonlySet<string> = new Set([
  'workflow',
  'extra_data',
  'client_id',
  'prompt_id',
  'number',
  'front',
  'partial_execution_targets',
]);
const MOST_WRAPPERS = 4;
