import { z } from 'zod';
import { WorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { CredentialsSchema, type Credential } from '../../lib/download/credentials.ts';
import { InputFileSchema, type InputFile } from './input-file.ts';
import { OutputOptionsSchema, S3ConfigSchema, type OutputOptions } from './output-options.ts';
import { describeIssue } from './input-issue.ts';

/** What a caller may send as `input`. Fields not named here are ignored. */
const JobInputSchema = z.object({
  /** The workflow in API format, forwarded character for character; or the name of one kept on this worker. */
  workflow: z.custom((value) => value !== undefined && value !== null),
  /** For a workflow by name: what it asks for. */
  params: z.record(z.string(), z.unknown()).nullish(),
  /** Files put into ComfyUI's input folder before the workflow is queued: base64, data URI or URL. */
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
  /** What to tell servers that files are fetched from. Never shown again. */
  credentials: CredentialsSchema.nullish(),
  /** What comes back, in which form, and to where. */
  output: OutputOptionsSchema.nullish(),
  /** Refuse what would otherwise be passed on in the hope that ComfyUI knows it. */
  strict: z.boolean().nullish(),
  /** A bucket of the caller's own, as RunPod's SDKs send it. */
  s3Config: S3ConfigSchema.nullish(),
  /** Key for ComfyUI's API nodes, forwarded as it is; wins over `COMFY_ORG_API_KEY`. */
  comfy_org_api_key: z.unknown().optional(),
  /** ComfyUI's own name for it. */
  api_key_comfy_org: z.unknown().optional(),
  /** Embedded in what ComfyUI saves; usually `{"workflow": <editor format>}`. */
  extra_pnginfo: z.record(z.string(), z.unknown()).nullish(),
});

/** One of `images`. What its fields hold is judged when it is staged, so that all are tried. */
export interface InputImage {
  readonly name: unknown;
  /** Wins over `url` unless it is null. */
  readonly image?: unknown;
  readonly url?: unknown;
}

/** A workflow the caller only names. */
export interface NamedWorkflow {
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
  readonly s3Config?: z.infer<typeof S3ConfigSchema>;
  readonly apiKey?: JsonText;
  readonly extraPnginfo?: JsonText;
}

/**
 * Checks in the order clients know; the first problem wins, and fields added later are told together at the end.
 * @throws WorkerError `input.*` with the text of the contract.
 */
export function parseInput(sent: JsonText): JobInput {
  const input = asObject(sent);
  const parsed = JobInputSchema.safeParse(input.value());
  if (!parsed.success) throw toInputError(parsed.error);
  const { images, files, credentials, output, strict, s3Config } = parsed.data;
  return {
    workflow: workflowOf(input),
    images: images ?? [],
    files: files ?? [],
    credentials: credentials ?? [],
    output: output ?? {},
    strict: strict ?? false,
    ...(s3Config ? { s3Config } : {}),
    ...maybe('overrides', input.get('overrides')),
    ...maybe('apiKey', input.get('api_key_comfy_org')),
    ...maybe('apiKey', input.get('comfy_org_api_key')),
    ...maybe('extraPnginfo', input.get('extra_pnginfo')),
  };
}

/** An input may be an object, or a string holding one. */
function asObject(sent: JsonText): JsonText {
  if (sent.kind === 'null') throw new WorkerError('input.missing', 'Please provide input');
  const input = sent.kind === 'string' ? JsonText.maybeParse(String(sent.value())) : sent;
  if (input?.kind !== 'object')
    throw new WorkerError('input.not_json', 'Invalid JSON format in input');
  return input;
}

/** Detached: the images of the job, megabytes of base64, must not stay in memory as long as the workflow does. */
function workflowOf(input: JsonText): JsonText | NamedWorkflow {
  const workflow = input.get('workflow');
  if (!workflow) throw missingWorkflow();
  if (workflow.kind !== 'string') return workflow.detached();
  return { name: String(workflow.value()), ...maybe('params', input.get('params')) };
}

/** A field kept as it was sent, unless it is empty: clients send `""`, `0` or `{}` for "none", as in Python. */
function maybe<K extends string>(
  name: K,
  sent: JsonText | undefined,
): Partial<Record<K, JsonText>> {
  if (!sent || !isTruthy(sent.value())) return {};
  return { [name]: sent.detached() } as Partial<Record<K, JsonText>>;
}

function isTruthy(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
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
  return new WorkerError('input.invalid', issues.map(describeIssue).join('\n'));
}

const missingWorkflow = () =>
  new WorkerError('input.workflow_missing', "Missing 'workflow' parameter");
