import { JsonText } from '../shared/json.js';
import { formatOf, recognise } from '../shared/workflow/recognise.js';

/** A file or text that cannot be run. Title, message and problems are shown to the person who opened it. */
export class Unusable extends Error {
  /**
   * @param {string} title
   * @param {string} explanation
   * @param {readonly string[]} [problems] one line for each node
   */
  constructor(title, explanation, problems = []) {
    super(explanation);
    this.title = title;
    this.problems = problems;
  }
}

/**
 * Turns what a person has into a request: a workflow, a job, the input of a job, or the body of ComfyUI's own `/prompt`. The
 * characters of the workflow, and everything beside it in a job, are kept. A workflow of the editor is converted by the worker.
 *
 * @param {string} text
 * @param {(file: string) => Promise<string>} convert see `Api.convert`
 * @returns {Promise<JsonText>} `{"input": {"workflow": ...}}`
 * @throws {Unusable}
 */
export async function toRequest(text, convert) {
  const json = parse(text.replace(/^\uFEFF/, ''));
  const sent = json.get('input');
  const isJob = sent?.kind === 'object' && formatOf(json) === undefined;
  const found = recognise(isJob ? sent : json);
  if (found.kind === 'other') throw noWorkflow(json, found);
  if (found.kind === 'name') throw calledByName();
  const input = found.kind === 'editor' ? await converted(found.input, convert) : found.input;
  return isJob ? json.replacing(sent, input.text) : JsonText.parse(`{"input":${input.text}}`);
}

/**
 * @param {JsonText} input
 * @param {(file: string) => Promise<string>} convert
 */
async function converted(input, convert) {
  const job = JsonText.parse(await convert(input.text));
  return job.get('input') ?? input;
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

const calledByName = () =>
  new Unusable(
    'This job calls a workflow by its name',
    'The page shows workflows that are in the file. Send this job to the API instead.',
  );

/**
 * @param {JsonText} json
 * @param {{ what: string, isKnown: boolean }} found
 */
function noWorkflow(json, { what, isKnown }) {
  const keys = json.entries().map(([name]) => `“${name}”`);
  const listed = keys.length > 0 ? `keys ${keys.slice(0, 5).join(', ')}` : `a JSON ${json.kind}`;
  const contents = isKnown && json.kind === 'object' ? what : listed;
  return new Unusable(
    'No workflow in there',
    `Expected a workflow of ComfyUI, in either of its formats, or a job {"input": {"workflow": …}}. Found ${contents}.`,
  );
}
