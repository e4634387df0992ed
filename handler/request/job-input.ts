import { z } from 'zod';
import { CredentialsSchema, type Credential } from '../../lib/download/credentials.ts';
import { WorkerError, shownLines } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { formatOf, recognise } from '../../lib/workflow/recognise.ts';
import { s3Store } from '../../lib/storage/s3/store.ts';
import { withoutEmptyOptions } from './empty-options.ts';
import { InputFileSchema, type InputFile } from './input-file.ts';
import { OutputOptionsSchema, type OutputOptions } from './output-options.ts';

/** The fields of `input`. Other fields are ignored. */
const JobInputSchema = z.object({
  /** The workflow in API format, forwarded character for character; or the name of a workflow kept on this worker. */
  workflow: z.custom((value) => value !== undefined && value !== null),
  /** Parameters of a workflow that is called by name. */
  params: z.record(z.string(), z.unknown()).nullish(),
  /** Files for ComfyUI's input folder, stored before the workflow is queued: base64, data URI or URL. */
  images: z
    .array(
      z
        .object({ name: z.unknown(), image: z.unknown().optional(), url: z.unknown().optional() })
        .refine((item) => 'image' in item || 'url' in item),
    )
    .nullish(),
  /** The same for files of any kind, with a folder and a type. */
  files: z.array(InputFileSchema).nullish(),
  /** New values for inputs of the workflow: `{"6.text": "a cat", "KSampler.seed": 7}`. */
  overrides: z.record(z.string(), z.unknown()).nullish(),
  /** Credentials for the servers that files are downloaded from. Never logged or returned. */
  credentials: CredentialsSchema.nullish(),
  /** The outputs that come back, their form, and where they are stored. */
  output: OutputOptionsSchema.nullish(),
  /** Seconds the job may take; a shorter limit of the worker or the platform wins. Read by `timeoutOf`. */
  timeout_s: z.number().positive().nullish(),
  /** Refuse files and workflows that ComfyUI might not understand, instead of passing them on. */
  strict: z.boolean().nullish(),
  /** A bucket of the caller's own, as RunPod's SDKs send it. */
  s3Config: s3Store.schema.nullish(),
  /** Key for ComfyUI's API nodes, forwarded unchanged; wins over `COMFY_ORG_API_KEY`. */
  comfy_org_api_key: z.unknown().optional(),
  /** ComfyUI's own name for the same key. */
  api_key_comfy_org: z.unknown().optional(),
  /** Embedded in the files ComfyUI saves; usually `{"workflow": <editor format>}`. */
  extra_pnginfo: z.record(z.string(), z.unknown()).nullish(),
});

/** One entry of `images`. Its fields are checked when it is staged, so that the problems of all images are reported together. */
export interface InputImage {
  readonly name: unknown;
  /** Wins over `url` unless it is null. */
  readonly image?: unknown;
  readonly url?: unknown;
}

/** A workflow that is kept on the worker and called by name. */
interface NamedWorkflow {
  readonly name: string;
  readonly params?: JsonText;
}

export interface JobInput {
  readonly workflow: JsonText | NamedWorkflow;
  readonly images: readonly InputImage[];
  readonly files: readonly InputFile[];
  readonly credentials: readonly Credential[];
  readonly output: OutputOptions;
  readonly strict: boolean;
  readonly overrides?: JsonText;
  readonly s3Config?: z.infer<typeof s3Store.schema>;
  readonly apiKey?: JsonText;
  readonly extraPnginfo?: JsonText;
  /** Options that were ignored, one text each, for the caller. */
  readonly notes: readonly string[];
}

/**
 * Checks fields in the order clients of the Python worker know. Of the older fields the first problem wins; problems of
 * the newer fields are reported together.
 * @throws WorkerError `input.*` with the texts of the Python worker.
 */
export function parseInput(sent: JsonText): JobInput {
  const object = asObject(sent);
  refuseTooDeep(object, 'input');
  const input = unwrapped(object);
  const notes: string[] = [];
  const sentOptions = input.value({ asBytes: FILE_FIELDS }) as Record<string, unknown>;
  const options = withoutEmptyOptions(sentOptions, (text) => notes.push(text));
  const parsed = JobInputSchema.safeParse(options);
  if (!parsed.success) throw toInputError(parsed.error);
  const { images, files, credentials, output, strict, s3Config } = parsed.data;
  return {
    workflow: workflowOf(input),
    images: images ?? [],
    files: files ?? [],
    credentials: credentials ?? [],
    output: output ?? {},
    strict: strict ?? false,
    notes,
    ...(s3Config ? { s3Config } : {}),
    ...maybe('overrides', input.get('overrides')),
    ...maybe('apiKey', input.get('api_key_comfy_org')),
    ...maybe('apiKey', input.get('comfy_org_api_key')),
    ...maybe('extraPnginfo', input.get('extra_pnginfo')),
  };
}

/** Members of `images` and `files` that may be megabytes of base64. */
const FILE_FIELDS = new Set(['image', 'data']);

/** @throws WorkerError `input.invalid`. Python reads no deeper JSON, and walking through it would exhaust the stack. */
export function refuseTooDeep(sent: JsonText, name: string): void {
  if (!sent.isDeeperThan(MAX_DEPTH)) return;
  const text = `${name} is nested too deeply: objects and lists may be ${MAX_DEPTH} levels deep`;
  throw new WorkerError('input.invalid', text);
}

const MAX_DEPTH = 500;

/** An input may be an object, or a string of JSON that holds one. */
function asObject(sent: JsonText): JsonText {
  if (sent.kind === 'null') throw new WorkerError('input.missing', 'Please provide input');
  const input = sent.kind === 'string' ? JsonText.maybeParse(String(sent.value())) : sent;
  if (input?.kind !== 'object')
    throw new WorkerError('input.not_json', 'Invalid JSON format in input');
  return input;
}

/**
 * The input within what a caller took for one: a bare workflow, a body of `/prompt`, a whole job in `workflow`. Anything
 * unknown is returned unchanged; the checks that follow have the texts that clients know.
 */
function unwrapped(input: JsonText): JsonText {
  const workflow = input.get('workflow');
  if (formatOf(workflow) === 'api') return input; // nearly always; the rest of the input is not searched
  const found = recognise(input);
  if (found.kind !== 'other') return found.input;
  if (workflow || !found.isKnown) return input;
  throw new WorkerError(
    'input.workflow_missing',
    `Missing 'workflow' parameter; the input is ${found.what}`,
  );
}

/** Detached from the input's text, so that megabytes of base64 images do not stay in memory as long as the workflow. */
function workflowOf(input: JsonText): JsonText | NamedWorkflow {
  const workflow = input.get('workflow');
  if (!workflow) throw missingWorkflow();
  if (workflow.kind !== 'string') return workflow.detached();
  return { name: String(workflow.value()), ...maybe('params', input.get('params')) };
}

/** A field as it was sent, unless it is empty: clients send `""`, `0` or `{}` for "none", as in Python. */
function maybe<K extends string>(
  name: K,
  sent: JsonText | undefined,
): Partial<Record<K, JsonText>> {
  const value = sent?.value();
  const isObject = typeof value === 'object' && value !== null;
  const isEmpty = isObject ? Object.keys(value).length === 0 : !value;
  if (!sent || isEmpty) return {};
  return { [name]: sent.detached() } as Partial<Record<K, JsonText>>;
}

function toInputError({ issues }: z.ZodError): WorkerError {
  const fields = issues.map(({ path }) => path[0]);
  if (fields.includes('workflow')) return missingWorkflow();
  if (fields.includes('images')) {
    return new WorkerError(
      'input.images_invalid',
      "'images' must be a list of objects with 'name' and 'image' keys",
    );
  }
  const lines = issues.map((issue) => `input${describeIssue(issue)}`);
  return new WorkerError('input.invalid', shownLines(lines).join('\n'));
}

const missingWorkflow = () =>
  new WorkerError('input.workflow_missing', "Missing 'workflow' parameter");

/**
 * Where a field is and what is wrong with it: `.files[2].url: must be an http(s) URL`. Does not repeat the value, which
 * may be a secret.
 */
export function describeIssue({ path, message }: z.core.$ZodIssue): string {
  const steps = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`));
  return `${steps.join('')}: ${message.charAt(0).toLowerCase()}${message.slice(1)}`;
}
