import { JsonText } from '../json.ts';
import { WorkerError, describeError } from '../errors.ts';
import { setInputs } from '../workflow/overrides.ts';

/** An image to send along, base64. */
export interface SentImage {
  readonly name: string;
  readonly image: string;
}

/**
 * A job from what people have in files: a job (`{"input": ...}`), an input (`{"workflow": ...}`), a bare workflow, or
 * what the editor posts to ComfyUI (`{"prompt": ...}`). The text of the workflow stays as it was.
 * @throws WorkerError `usage.invalid`, saying what the file holds instead.
 */
export function toJob(text: string, place: string): JsonText {
  const json = parse(text.replace(BYTE_ORDER_MARK, ''), place);
  const input = json.get('input');
  if (input && input.kind !== 'null') return withMember(json, 'input', asObject(input, place).text);
  if (json.get('workflow')) return JsonText.parse(`{"input":${json.text}}`);
  if (isWorkflow(json)) return jobOf(json);
  const prompt = json.get('prompt');
  if (prompt && isWorkflow(prompt)) return jobOf(prompt);
  throw notAJob(place, whatItIs(json));
}

/** Whether every member is a node, as in the API format. */
export function isWorkflow(json: JsonText): boolean {
  const nodes = json.entries();
  return nodes.length > 0 && nodes.every(([, node]) => node.get('class_type') !== undefined);
}

/** The job with more images, which take the place of those of the same name. */
export function withImages(job: JsonText, images: readonly SentImage[]): JsonText {
  const input = job.get('input');
  if (!input || images.length === 0) return job;
  const names = new Set<unknown>(images.map(({ name }) => name));
  const kept = input.get('images')?.items() ?? [];
  const all = [
    ...kept.filter((image) => !names.has(image.get('name')?.value())).map(({ text }) => text),
    ...images.map((image) => JSON.stringify(image)),
  ];
  return job.replacing(input, withMember(input, 'images', `[${all.join(',')}]`).text);
}

/** The job with inputs of its workflow set; see {@link setInputs}. */
export function withInputs(job: JsonText, assignments: readonly string[]): JsonText {
  if (assignments.length === 0) return job;
  const workflow = job.get('input')?.get('workflow');
  if (!workflow)
    throw new WorkerError('usage.invalid', '--set needs a job with a workflow; this one has none');
  return job.replacing(workflow, setInputs(workflow, assignments).text);
}

/** An object with one member more, or another value for it; the rest of its text stays. */
export function withMember(object: JsonText, name: string, value: string): JsonText {
  const existing = object.get(name);
  if (existing) return object.replacing(existing, value);
  const head = object.text.slice(0, -1).trimEnd();
  return JsonText.parse(`${head}${head === '{' ? '' : ','}${JSON.stringify(name)}:${value}}`);
}

function jobOf(workflow: JsonText): JsonText {
  return JsonText.parse(`{"input":{"workflow":${workflow.text}}}`);
}

/** An input may be a string that holds one. */
function asObject(input: JsonText, place: string): JsonText {
  const inner = input.kind === 'string' ? parse(String(input.value()), place) : input;
  if (inner.kind === 'object') return inner;
  throw notAJob(place, `its "input" is of kind ${inner.kind}, not an object`);
}

function parse(text: string, place: string): JsonText {
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw notAJob(place, `it is not JSON: ${describeError(error)}`, error);
  }
}

function whatItIs(json: JsonText): string {
  if (json.get('nodes')?.kind === 'array')
    return 'it is a workflow as the editor saves it; in ComfyUI use Workflow > Export (API) and take that file';
  if (json.kind !== 'object') return `it holds a value of kind ${json.kind}`;
  const keys = json.entries().map(([name]) => JSON.stringify(name));
  const found = keys.length > 8 ? [...keys.slice(0, 8), '...'] : keys;
  return `expected "input", "workflow" or nodes with a "class_type", found ${found.join(', ') || 'nothing'}`;
}

function notAJob(place: string, why: string, cause?: unknown): WorkerError {
  return new WorkerError('usage.invalid', `No job can be read from ${place}: ${why}`, { cause });
}

/** Some editors put it first; it is no JSON. */
const BYTE_ORDER_MARK = /^\uFEFF/;
