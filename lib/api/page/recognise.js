import { JsonText } from './json-text.js';

/** Something that cannot be run; its message is for the person who brought it. */
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
 * Makes a request of whatever kind of JSON a person has: a workflow in API format, a job, the input of a job, or the body
 * of ComfyUI's own `/prompt`. The workflow's characters stay.
 *
 * @param {string} text
 * @returns {JsonText} `{"input": {"workflow": ...}}`
 * @throws {Unusable}
 */
export function recognise(text) {
  const json = parse(text.replace(/^\uFEFF/, ''));
  if (isEditorFormat(json)) throw editorFormat();
  if (isWorkflow(json)) return JsonText.parse(`{"input":{"workflow":${json.text}}}`);
  const workflow = json.get('input')?.get('workflow') ?? json.get('workflow');
  if (workflow && isEditorFormat(workflow)) throw editorFormat();
  if (workflow && isWorkflow(workflow))
    return json.get('input') ? json : JsonText.parse(`{"input":${json.text}}`);
  const prompt = json.get('prompt');
  if (prompt && isWorkflow(prompt)) return recognise(prompt.text);
  throw noWorkflow(json);
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

/** What ComfyUI's editor saves: nodes with positions, and links in a table. @param {JsonText} json */
function isEditorFormat(json) {
  return json.get('nodes')?.kind === 'array' && json.get('links') !== undefined;
}

/** @param {JsonText} json */
function isWorkflow(json) {
  return json.entries().some(([, node]) => node.get('class_type')?.kind === 'string');
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
