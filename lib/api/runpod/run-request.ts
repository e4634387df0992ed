import { z } from 'zod';
import { describeError, WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';

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

/** What is read of it here; of the input only the text is kept. */
const AroundInputSchema = RunRequestSchema.omit({ input: true });

/** A request whose text is kept: the workflow in it reaches ComfyUI character for character. */
export interface RunRequest {
  readonly source: JsonText;
  readonly input: JsonText;
  /** Of the whole body, which its windows keep in memory. */
  readonly length: number;
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
  const { webhook, policy } = parseRest(source);
  const { executionTimeout, ttl = DAY_MS } = policy ?? {};
  return {
    source,
    input,
    length: body.length,
    webhook,
    policy: { executionTimeoutMs: executionTimeout, ttlMs: ttl },
  };
}

/** A life that is asked for with `?ttl=`; undefined when it is none. */
export function maybeTtl(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = PolicySchema.shape.ttl.safeParse(Number.parseFloat(text));
  return parsed.success ? parsed.data : undefined;
}

function parseJson(body: string): JsonText {
  try {
    return JsonText.parse(body.replace(BYTE_ORDER_MARK, ''));
  } catch (cause) {
    throw badRequest(`Expected a body of JSON: ${shortened(describeError(cause))}`, cause);
  }
}

function missingInput(source: JsonText): string {
  if (source.kind !== 'object') {
    return `Expected an object with an "input", got a value of kind ${source.kind}`;
  }
  const keys = source.entries().map(([name]) => `"${shortened(name)}"`);
  return `Expected an "input" that is not null; the body has ${keys.slice(0, 20).join(', ') || 'no keys'}`;
}

/** SDKs send null, and 0 for a time, where nothing is meant. */
function parseRest(source: JsonText): z.infer<typeof AroundInputSchema> {
  for (const name of ['webhook', 'policy', 's3Config']) {
    const length = source.get(name)?.text.length ?? 0;
    if (length > MOST_AROUND)
      throw badRequest(`${name}: expected at most ${MOST_AROUND} characters, got ${length}`);
  }
  const parsed = AroundInputSchema.safeParse({
    webhook: nothingAsUndefined(source.get('webhook')?.value()),
    policy: withoutNothing(source.get('policy')?.value()),
    s3Config: source.get('s3Config')?.value() ?? undefined,
  });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw badRequest(`The request is not understood: ${problems.join('; ')}`);
}

function withoutNothing(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  return Object.fromEntries(Object.entries(value).filter(([, member]) => Boolean(member)));
}

const nothingAsUndefined = (value: unknown): unknown =>
  value === '' || value === null ? undefined : value;

const badRequest = (message: string, cause?: unknown): WorkerError =>
  new WorkerError('api.bad_request', message, { cause });

/** A parser quotes what it choked on; nobody needs all of it. */
const shortened = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text);

/** More than any of them can mean. */
const MOST_AROUND = 20_000;
const BYTE_ORDER_MARK = /^\uFEFF/;
