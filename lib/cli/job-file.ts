import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { describeError, errnoOf, WorkerError } from '../errors.ts';
import { JsonText } from '../json.ts';
import { recognise } from '../workflow/graph.ts';
import { setInputs } from '../workflow/overrides.ts';
import type { JobOptions } from './context.ts';

/** An input image; `image` is base64. */
export interface SentImage {
  readonly name: string;
  readonly image: string;
}

/**
 * The job of a command line: its file, with `--set` and `--image` applied. Mistakes are found before anything is run.
 * @throws WorkerError `usage.invalid` or `workflow.input_unknown`.
 */
export async function prepareJob(file: string, options: JobOptions): Promise<JsonText> {
  const text = await readText(file);
  const job = withInputs(toJob(text, file === '-' ? 'stdin' : file), options.set ?? []);
  const images = await Promise.all((options.image ?? []).map((image) => readImage(image)));
  return withImages(job, images);
}

/**
 * Reads a job from a file: a job (`{"input": ...}`), an input (`{"workflow": ...}`), a bare workflow, or a body of ComfyUI's
 * `/prompt` (`{"prompt": ...}`). The text of the workflow is kept.
 * @throws WorkerError `usage.invalid`, saying what the file contains instead.
 */
export function toJob(text: string, file: string): JsonText {
  const json = parseFile(text.replace(BYTE_ORDER_MARK, ''), file);
  const input = json.get('input');
  if (input && input.kind !== 'null') return withMember(json, 'input', asObject(input, file).text);
  if (json.get('workflow')) return JsonText.parse(`{"input":${json.text}}`);
  const found = recognise(json);
  if (found.kind === 'api') return JsonText.parse(`{"input":{"workflow":${found.workflow.text}}}`);
  throw notAJob(file, describeContent(json));
}

/** The job with more images. Images of the same name are replaced. */
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

/** The job with changed inputs of its workflow; see {@link setInputs}. */
export function withInputs(job: JsonText, assignments: readonly string[]): JsonText {
  if (assignments.length === 0) return job;
  const workflow = job.get('input')?.get('workflow');
  if (!workflow)
    throw new WorkerError('usage.invalid', '--set needs a job with a workflow; this one has none');
  return job.replacing(workflow, setInputs(workflow, assignments).text);
}

/** The object with one member added or replaced; the rest of its text is kept. */
export function withMember(object: JsonText, name: string, value: string): JsonText {
  const existing = object.get(name);
  if (existing) return object.replacing(existing, value);
  const head = object.text.slice(0, -1).trimEnd();
  return JsonText.parse(`${head}${head === '{' ? '' : ','}${JSON.stringify(name)}:${value}}`);
}

/** An input may be a string of JSON. */
function asObject(input: JsonText, file: string): JsonText {
  const inner = input.kind === 'string' ? parseFile(String(input.value()), file) : input;
  if (inner.kind === 'object') return inner;
  throw notAJob(file, `its "input" is of kind ${inner.kind}, not an object`);
}

function parseFile(text: string, file: string): JsonText {
  try {
    return JsonText.parse(text);
  } catch (error) {
    throw notAJob(file, `it is not JSON: ${describeError(error)}`, error);
  }
}

function describeContent(json: JsonText): string {
  if (recognise(json).kind === 'editor')
    return 'it is a workflow as the editor saves it; in ComfyUI use Workflow > Export (API) and take that file';
  if (json.kind !== 'object') return `it holds a value of kind ${json.kind}`;
  const keys = json.entries().map(([name]) => JSON.stringify(name));
  const found = keys.length > 8 ? [...keys.slice(0, 8), '...'] : keys;
  return `expected "input", "workflow" or nodes with a "class_type", found ${found.join(', ') || 'nothing'}`;
}

function notAJob(file: string, why: string, cause?: unknown): WorkerError {
  return new WorkerError('usage.invalid', `No job can be read from ${file}: ${why}`, { cause });
}

/** The text of a file; `-` is standard input. @throws WorkerError `usage.invalid`. */
export async function readText(file: string): Promise<string> {
  return file === '-' ? text(process.stdin) : (await readBytes(file)).toString();
}

/** Reads `name=path`; with a path alone, the name is that of the file. @throws WorkerError `usage.invalid`. */
export async function readImage(option: string): Promise<SentImage> {
  const equals = option.indexOf('=');
  const path = option.slice(equals + 1);
  const name = equals < 0 ? basename(path) : option.slice(0, equals);
  if (name === '' || path === '') {
    throw new WorkerError(
      'usage.invalid',
      `Expected --image name=path, got ${JSON.stringify(option)}`,
    );
  }
  return { name, image: (await readBytes(path)).toString('base64') };
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    const why = errnoOf(error) === 'ENOENT' ? 'there is no such file' : describeError(error);
    throw new WorkerError('usage.invalid', `${path} cannot be read: ${why}`, { cause: error });
  }
}

/** Some editors write it at the start of a file; it is not JSON. */
const BYTE_ORDER_MARK = /^\uFEFF/;
