import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { describeError, errnoOf, isWorkerError, WorkerError } from '../errors.ts';
import { JsonText, objectText } from '../json.ts';
import { ByteSource } from '../workflow/embedded/byte-source.ts';
import { openWorkflowFile } from '../workflow/embedded/embedded.ts';
import { readAssignment, setInputs } from '../workflow/overrides.ts';
import { formatOf, recognise, unquoted } from '../workflow/recognise.ts';
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
  const job = withInputs(await readJob(file), options.set ?? []);
  const images = await Promise.all((options.image ?? []).map((image) => readImage(image)));
  return withImages(job, images);
}

/** Reads a job from JSON or from a file that ComfyUI saved; `-` is standard input. @throws WorkerError `usage.invalid` */
export async function readJob(file: string): Promise<JsonText> {
  const name = file === '-' ? 'stdin' : file;
  await using handle = file === '-' ? undefined : await openForReading(file);
  try {
    const source = handle
      ? await ByteSource.ofFile(handle)
      : ByteSource.ofBytes(await buffer(process.stdin));
    return toJob(await openWorkflowFile(source), name);
  } catch (error) {
    if (isWorkerError(error, 'usage.invalid')) throw error;
    if (!isWorkerError(error)) throw cannotRead(file, error);
    const why = error.message.charAt(0).toLowerCase() + error.message.slice(1);
    throw notAJob(name, why, error);
  }
}

/**
 * The job that a file holds: a job, an input, a workflow in either format, or a body of ComfyUI's `/prompt`. Texts are kept.
 * @throws WorkerError `usage.invalid`, saying what the file contains instead.
 */
export function toJob(json: JsonText, file: string): JsonText {
  const sent = unquoted(json.get('input'));
  const isJob = sent !== undefined && sent.kind !== 'null' && formatOf(json) === undefined;
  if (isJob && sent.kind !== 'object') {
    throw notAJob(file, `its "input" is of kind ${sent.kind}, not an object`);
  }
  const found = recognise(isJob ? sent : json);
  if (found.kind === 'unclear') throw notAJob(file, `it has ${found.what}`);
  if (found.kind === 'other' && found.isKnown) {
    throw notAJob(file, `${isJob ? 'its "input"' : 'it'} is ${found.what}`);
  }
  if (isJob) {
    const input = found.kind === 'other' ? sent : found.input; // the worker says what is missing
    return withMember(json, 'input', input.text);
  }
  if (found.kind !== 'other') return JsonText.parse(`{"input":${found.input.text}}`);
  if (json.get('workflow')) return JsonText.parse(`{"input":${json.text}}`);
  const expected = 'expected "input", "workflow" or nodes with a "class_type"';
  throw notAJob(file, `${expected}, found ${found.what}`);
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

/**
 * The job with changed inputs of its workflow; see {@link setInputs}. The inputs of a workflow that the worker converts or
 * knows by name become `overrides`, which the worker applies.
 */
export function withInputs(job: JsonText, assignments: readonly string[]): JsonText {
  if (assignments.length === 0) return job;
  const input = job.get('input');
  const workflow = input?.get('workflow');
  if (!input || !workflow)
    throw new WorkerError('usage.invalid', '--set needs a job with a workflow; this one has none');
  if (workflow.kind !== 'string' && formatOf(workflow) !== 'editor')
    return job.replacing(workflow, setInputs(workflow, assignments).text);
  const overrides = new Map(
    input
      .get('overrides')
      ?.entries()
      .map(([name, { text }]) => [name, text]),
  );
  for (const [name, value] of assignments.map(readAssignment)) overrides.set(name, value);
  return job.replacing(input, withMember(input, 'overrides', objectText(overrides)).text);
}

/** The object with one member added or replaced; the rest of its text is kept. */
export function withMember(object: JsonText, name: string, value: string): JsonText {
  const existing = object.get(name);
  if (existing) return object.replacing(existing, value);
  const head = object.text.slice(0, -1).trimEnd();
  return JsonText.parse(`${head}${head === '{' ? '' : ','}${JSON.stringify(name)}:${value}}`);
}

function notAJob(file: string, why: string, cause?: unknown): WorkerError {
  return new WorkerError('usage.invalid', `No job can be read from ${file}: ${why}`, { cause });
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
  await using handle = await openForReading(path);
  return await handle.readFile().catch((error: unknown) => {
    throw cannotRead(path, error);
  });
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await open(path);
  } catch (error) {
    throw cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): WorkerError {
  const why = errnoOf(error) === 'ENOENT' ? 'there is no such file' : describeError(error);
  return new WorkerError('usage.invalid', `${path} cannot be read: ${why}`, { cause: error });
}
