/**
 * A workflow in API format as a person reads it: nodes in the order they run, each with the values that can be changed.
 *
 * @import { JsonText } from '../shared/json.js'
 * @typedef {'prompt' | 'text' | 'number' | 'seed' | 'switch' | 'image' | 'json'} FieldKind
 *
 * @typedef {object} Field A literal input of a node.
 * @property {string} name
 * @property {FieldKind} kind
 * @property {JsonText} json its place in the text
 *
 * @typedef {object} Link An input that another node's output goes into.
 * @property {string} name
 * @property {string} from id of that node
 *
 * @typedef {object} WorkflowNode
 * @property {string} id
 * @property {string} title
 * @property {string} classType
 * @property {readonly Field[]} fields
 * @property {readonly Link[]} links
 */

/**
 * @param {JsonText} workflow
 * @returns {WorkflowNode[]} each node after the nodes it depends on; otherwise in the order of the text.
 */
export function readNodes(workflow) {
  const nodes = workflow.entries().flatMap(([id, json]) => maybeNode(id, json) ?? []);
  return inExecutionOrder(new Map(nodes.map((node) => [node.id, node])));
}

/**
 * The text a JSON string stands for; of any other value its JSON.
 *
 * @param {JsonText | undefined} json
 */
export function plainText(json) {
  return json?.asString() ?? json?.text;
}

/**
 * @param {string} id
 * @param {JsonText} json
 * @returns {WorkflowNode | undefined}
 */
function maybeNode(id, json) {
  const classType = plainText(json.get('class_type'));
  if (classType === undefined) return undefined;
  const title = plainText(json.get('_meta')?.get('title')) ?? '';
  const inputs = json.get('inputs')?.entries() ?? [];
  return {
    id,
    classType,
    title: title === '' ? classType : title,
    links: inputs.flatMap(([name, value]) => maybeLink(name, value) ?? []),
    fields: inputs
      .filter(([name, value]) => maybeLink(name, value) === undefined)
      .map(([name, value]) => ({ name, json: value, kind: kindOf(name, value, classType) })),
  };
}

/**
 * @param {string} name
 * @param {JsonText} value
 * @returns {Link | undefined}
 */
function maybeLink(name, value) {
  const [source, output, ...more] = value.items();
  if (!source || output?.kind !== 'number' || more.length > 0) return undefined;
  if (source.kind !== 'string' && source.kind !== 'number') return undefined;
  return { name, from: plainText(source) ?? '' };
}

/**
 * @param {string} name
 * @param {JsonText} value
 * @param {string} classType
 * @returns {FieldKind}
 */
function kindOf(name, value, classType) {
  if (value.kind === 'number') return SEED.test(name) ? 'seed' : 'number';
  if (value.kind === 'boolean') return 'switch';
  if (value.kind !== 'string') return 'json';
  if (name === 'image' && LOADS_IMAGES.test(classType)) return 'image';
  return PROMPT.test(name) || value.text.length > LONG_TEXT ? 'prompt' : 'text';
}

/**
 * @param {ReadonlyMap<string, WorkflowNode>} nodes
 * @returns {WorkflowNode[]}
 */
function inExecutionOrder(nodes) {
  /** @type {Set<WorkflowNode>} */
  const ordered = new Set();
  /** @type {Set<WorkflowNode>} Stops at cycles; ComfyUI refuses those itself. */
  const entered = new Set();
  /** @param {WorkflowNode | undefined} node */
  const visit = (node) => {
    if (!node || entered.has(node)) return;
    entered.add(node);
    for (const { from } of node.links) visit(nodes.get(from));
    ordered.add(node);
  };
  nodes.forEach(visit);
  return [...ordered];
}

const SEED = /(^|_)seed$/i;
const PROMPT = /^(text|prompt|positive|negative|caption|string|value)(_\w+)?$|prompt$/i;
const LOADS_IMAGES = /load_?image/i;
const LONG_TEXT = 60;
