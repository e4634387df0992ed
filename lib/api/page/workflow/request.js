import { JsonText } from '../shared/json.js';
import { recognise } from '../shared/graph.js';

/** A file or text that cannot be run. Title and message are shown to the person who opened it. */
export class Unusable extends Error {
  /**
   * @param {string} title
   * @param {string} explanation
   */
  constructor(title, explanation) {
    super(explanation);
    this.title = title;
  }
}

/**
 * Turns what a person has into a request: a workflow in API format, a job, the input of a job, or the body of ComfyUI's own
 * `/prompt`. The characters of the workflow, and everything beside it in a job, are kept.
 *
 * @param {string} text
 * @returns {JsonText} `{"input": {"workflow": ...}}`
 * @throws {Unusable}
 */
export function toRequest(text) {
  const json = parse(text.replace(/^\uFEFF/, ''));
  const job = asJob(json);
  const sent = job?.get('input')?.get('workflow');
  const found = recognise(sent ?? json);
  if (found.kind === 'editor') throw editorFormat();
  if (found.kind === 'neither' || !hasNodes(found.workflow)) throw noWorkflow(json);
  const workflow = found.workflow.text;
  return job && sent ? job.replacing(sent, workflow) : wrapped(`{"workflow":${workflow}}`);
}

/** @param {string} text */
function parse(text) {
  try {
    return JsonText.parse(text);
  } catch (error) {
    if (text.trim() === '') throw new Unusable('Nothing in it', 'The file or clipboard is empty.');
    throw new Unusable('This is not JSON', error instanceof SyntaxError ? error.message : '');
  }
}

/** Undefined for a bare workflow and for a body of `/prompt`, whose `workflow` is only a picture of the prompt. @param {JsonText} json */
function asJob(json) {
  if (json.get('input')) return json;
  return json.get('workflow') && !json.get('prompt') ? wrapped(json.text) : undefined;
}

/** @param {string} input */
const wrapped = (input) => JsonText.parse(`{"input":${input}}`);

/** Whether there is at least one node to run. ComfyUI explains what is wrong with the others. @param {JsonText} workflow */
function hasNodes(workflow) {
  return workflow.entries().some(([, node]) => node.get('class_type')?.kind === 'string');
}

function editorFormat() {
  return new Unusable(
    'This is the editor’s own format',
    'It says where the boxes are, but not what ComfyUI is to run. Open it in ComfyUI, choose Workflow › Export (API) ' +
      'in the menu, and drop the file you get here. (In older versions: Settings › Enable dev mode options, then Save (API format).)',
  );
}

/** @param {JsonText} json */
function noWorkflow(json) {
  const keys = json.entries().map(([name]) => `“${name}”`);
  const found = keys.length > 0 ? `keys ${keys.slice(0, 5).join(', ')}` : `a JSON ${json.kind}`;
  return new Unusable(
    'No workflow in there',
    `Expected nodes with a class_type, as ComfyUI’s Workflow › Export (API) writes them, or a job {"input": {"workflow": …}}. Found ${found}.`,
  );
}
