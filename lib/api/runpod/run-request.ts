import { z } from 'zod';
import { describeError, WorkerError, shownLines } from '../../errors.ts';
import { isLoopback, isPrivateAddress } from '../../http/public-address.ts';
import { JsonText } from '../../json.ts';
import type { ApiSettings } from '../server/settings.ts';

const DAY_MS = 86_400_000;

const PolicySchema = z.object({
  executionTimeout: z
    .number()
    .min(5000)
    .max(7 * DAY_MS)
    .optional()
    .describe('Milliseconds the job may run; JOB_TIMEOUT_S when left out'),
  ttl: z
    .number()
    .min(10_000)
    .max(7 * DAY_MS)
    .default(DAY_MS)
    .describe('Milliseconds from submission after which the job is deleted, in whatever state'),
  lowPriority: z.boolean().optional().describe('Accepted; one worker has nothing to scale'),
});

/** The body of `/run` and `/runsync`. Fields not named here are ignored. */
export const RunRequestSchema = z.object({
  input: z.unknown().describe('Any JSON but null; what the handler gets'),
  webhook: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Gets one POST with the whole job when it has ended'),
  policy: PolicySchema.optional(),
  s3Config: z.record(z.string(), z.unknown()).optional().describe('Handed to the worker'),
});

/** The members that are read here. The worker judges the others: an `s3Config` that says nothing must not fail a job. */
const OptionsSchema = RunRequestSchema.omit({ input: true, s3Config: true });

/** The text of the request is kept, so the workflow in it reaches ComfyUI character for character. */
export interface RunRequest {
  readonly source: JsonText;
  readonly input: JsonText;
  /** Characters of the whole body, which `source` and `input` keep in memory. */
  readonly sourceLength: number;
  readonly webhook: string | undefined;
  readonly policy: {
    readonly executionTimeoutMs: number | undefined;
    readonly ttlMs: number;
  };
}

/** @throws WorkerError `api.bad_request` */
export function parseRunRequest(body: string): RunRequest {
  const source = parseJson(body);
  const input = source.get('input');
  if (!input || input.kind === 'null') throw badRequest(missingInput(source));
  refuseWebhookV2(source);
  const { webhook, policy } = parseOptions(source);
  const { executionTimeout, ttl = DAY_MS } = policy ?? {};
  return {
    source,
    input,
    sourceLength: body.length,
    webhook,
    policy: { executionTimeoutMs: executionTimeout, ttlMs: ttl },
  };
}

/** The milliseconds of `?ttl=`; undefined when they are missing or out of bounds. */
export function maybeTtl(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = PolicySchema.shape.ttl.safeParse(Number.parseFloat(text));
  return parsed.success ? parsed.data : undefined;
}

/**
 * Milliseconds of `?wait=`. RunPod takes 1000 to 300000 and waits 90000 by default; values that are no number count as missing.
 * HTTP clients give up after five minutes without an answer, so the longest wait ends two seconds earlier.
 */
export function waitMs(text: string | undefined, defaultMs = 90_000): number {
  const ms = Number.parseFloat(text ?? '');
  return Number.isNaN(ms) ? defaultMs : Math.min(Math.max(ms, 1000), 298_000);
}

/** Default wait of `/stream`: shorter than the ten seconds after which the Python client gives up. */
export const STREAM_WAIT_MS = 8000;

/**
 * Refuses a webhook whose host is a private address. Host names are resolved and checked when the webhook is sent.
 * @throws WorkerError `api.bad_request`
 */
export function checkWebhook(
  webhook: string,
  { allowPrivateWebhooks }: Pick<ApiSettings, 'allowPrivateWebhooks'>,
): void {
  const { hostname } = new URL(webhook);
  const isPrivate = isLoopback(hostname) || isPrivateAddress(hostname);
  if (!isPrivate || allowPrivateWebhooks) return;
  throw badRequest(
    `The webhook goes to ${hostname}, which is on a private network; API_WEBHOOK_ALLOW_PRIVATE=true allows that`,
  );
}

function parseJson(body: string): JsonText {
  try {
    return JsonText.parse(
      body.length < LARGE_BODY ? body.replace(BYTE_ORDER_MARK, '') : Buffer.from(body),
    );
  } catch (cause) {
    throw badRequest(`Expected a body of JSON: ${shortened(describeError(cause))}`, cause);
  }
}

function missingInput(source: JsonText): string {
  if (source.kind !== 'object') {
    return `Expected an object with an "input", got a value of kind ${source.kind}`;
  }
  const keys = source.entries().map(([name]) => `"${shortened(name)}"`);
  const expected = 'Expected an "input" that is not null; the body has';
  if (keys.length === 0) return `${expected} no keys`;
  return `${expected} ${keys.slice(0, 20).join(', ')}; if it is a workflow or a job's input, send it as {"input": ...}`;
}

/** Both SDKs of RunPod have this field, and nobody says what is posted there. Ignored, its receiver would wait for ever. */
function refuseWebhookV2(source: JsonText): void {
  if (unsetAsUndefined(source.get('webhookV2')?.value()) === undefined) return;
  throw badRequest('webhookV2 is not supported: RunPod does not document it; send webhook instead');
}

/** SDKs send null, an empty string or 0 for options that are not set. */
function parseOptions(source: JsonText): z.infer<typeof OptionsSchema> {
  for (const name of ['webhook', 'policy', 's3Config']) {
    const length = source.get(name)?.text.length ?? 0;
    if (length > MAX_OPTION_LENGTH)
      throw badRequest(`${name}: expected at most ${MAX_OPTION_LENGTH} characters, got ${length}`);
  }
  const parsed = OptionsSchema.safeParse({
    webhook: unsetAsUndefined(source.get('webhook')?.value()),
    policy: withoutUnset(source.get('policy')?.value()),
  });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw badRequest(`The request is not understood: ${shownLines(problems).join('; ')}`);
}

function withoutUnset(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  return Object.fromEntries(Object.entries(value).filter(([, member]) => Boolean(member)));
}

const unsetAsUndefined = (value: unknown): unknown =>
  value === '' || value === null ? undefined : value;

const badRequest = (message: string, cause?: unknown): WorkerError =>
  new WorkerError('api.bad_request', message, { cause });

/** Error messages of the JSON parser quote the text, which may be long. */
const shortened = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** Characters of each option beside the input. */
const MAX_OPTION_LENGTH = 20_000;
/** Characters from which a body is read as bytes, so that base64 in it is not parsed. */
const LARGE_BODY = 100_000;
const BYTE_ORDER_MARK = /^\uFEFF/;
