import { z } from 'zod';
import { WorkerError } from '../lib/errors.ts';
import { JsonText } from '../lib/json.ts';

/** What a caller may send as `input`. Fields not named here are ignored. */
export const JobInputSchema = z.object({
  /** The workflow in API format; forwarded character for character, judged by ComfyUI. */
  workflow: z.custom((value) => value !== undefined && value !== null),
  /** Files put into ComfyUI's input folder before the workflow is queued: base64, bare or as data URI. */
  images: z.array(z.object({ name: z.unknown(), image: z.unknown() })).nullish(),
  /** Key for ComfyUI's API nodes, forwarded as it is; wins over `COMFY_ORG_API_KEY`. */
  comfy_org_api_key: z.unknown().optional(),
});

export interface InputImage {
  readonly name: unknown;
  readonly image: unknown;
}

export interface JobInput {
  readonly workflow: JsonText;
  readonly images: readonly InputImage[];
  readonly apiKey?: JsonText;
}

/**
 * Checks in the order clients know; the first problem wins.
 * @throws WorkerError `input.*` with the text of the contract.
 */
export function parseInput(sent: JsonText): JobInput {
  const input = asObject(sent);
  const parsed = JobInputSchema.safeParse(input.value());
  if (!parsed.success) throw toInputError(parsed.error);
  const apiKey = input.get('comfy_org_api_key');
  return {
    workflow: workflowOf(input),
    images: parsed.data.images ?? [],
    ...(apiKey && isTruthy(parsed.data.comfy_org_api_key) ? { apiKey: apiKey.detached() } : {}),
  };
}

/** An input may be an object, or a string holding one. */
function asObject(sent: JsonText): JsonText {
  if (sent.kind === 'null') throw new WorkerError('input.missing', 'Please provide input');
  const input = sent.kind === 'string' ? maybeParse(String(sent.value())) : sent;
  if (input?.kind !== 'object')
    throw new WorkerError('input.not_json', 'Invalid JSON format in input');
  return input;
}

function maybeParse(text: string): JsonText | undefined {
  try {
    return JsonText.parse(text);
  } catch {
    return undefined;
  }
}

/** Detached: the images of the job, megabytes of base64, must not stay in memory as long as the workflow does. */
function workflowOf(input: JsonText): JsonText {
  const workflow = input.get('workflow');
  if (!workflow) throw missingWorkflow();
  return workflow.detached();
}

function toInputError(error: z.ZodError): WorkerError {
  const fields = error.issues.map((issue) => issue.path[0]);
  if (fields.includes('workflow')) return missingWorkflow();
  return new WorkerError(
    'input.images_invalid',
    "'images' must be a list of objects with 'name' and 'image' keys",
  );
}

const missingWorkflow = () =>
  new WorkerError('input.workflow_missing', "Missing 'workflow' parameter");

/** Truth as Python sees it, because clients send `""`, `0` or `{}` for "no key". */
function isTruthy(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}
