import { describeError, isError } from '../errors.ts';
import { withoutPaths } from '../http/redact.ts';
import { Base64, measureJson, toText } from '../json-body.ts';
import { VERSION } from '../version.ts';
import { encodePost, measurePost, type PostBody, type PostMembers } from '../queues/post-body.ts';

/** The body of a post that ends a job, before it is written out. */
export type ResultBody = Omit<PostMembers, 'status'>;

/** Who reports a failure. */
export interface Reporter {
  readonly hostname: string;
  readonly podId: string;
}

/**
 * What a handler returned, as the Python SDK would post it: `error` moves up beside `output`, `refresh_worker` becomes
 * `stopPod`, an object with nothing left in it is left out. Unlike there, `error` always becomes a string (the platform
 * takes a job with any other for completed), and the value itself is not touched.
 */
export function toResultBody(value: unknown): ResultBody {
  if (isError(value)) return { error: describeError(value) };
  if (!isPlainObject(value)) return { output: value ?? null };
  const { error, refresh_worker: refresh, ...output } = value;
  return {
    ...(Object.keys(output).length > 0 && { output }),
    ...(isTrue(error) && { error: toErrorText(error) }),
    ...(isTrue(refresh) && { stopPod: true as const }),
  };
}

/**
 * A handler that threw: six keys that consumers of the platform parse, as JSON inside a string. The trace names functions
 * but no files, for a caller has no business with the paths of a server.
 */
export function toFailureBody(error: unknown, { hostname, podId }: Reporter): ResultBody {
  const report = {
    error_type: isError(error) ? error.name : typeof error,
    error_message: withoutPaths(describeError(error)),
    error_traceback: traceOf(error),
    hostname,
    worker_id: podId,
    runpod_version: VERSION,
  };
  return { error: JSON.stringify(report) };
}

/** Name, message and functions of an error, without files. */
export function traceOf(error: unknown): string {
  if (!isError(error)) return withoutPaths(String(error));
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line));
  const functions = frames.map((frame) => /^\s+at (?:async )?(.+?) \(/.exec(frame)?.[1]);
  const trace = functions.filter((name) => name !== undefined).map((name) => `    at ${name}`);
  return [`${error.name}: ${withoutPaths(describeError(error))}`, ...trace].join('\n');
}

export interface ResultLimit {
  readonly maxBytes: number;
  /** What to do about a result that is too large; ends its message. */
  readonly hint?: string | undefined;
}

/**
 * Writes a body out. One that JSON cannot hold, or that is larger than allowed, becomes a failure that says so: a result
 * that was not posted would leave the job hanging until the platform gives it up.
 */
export function encodeResult(result: ResultBody, limit: ResultLimit): PostBody {
  const replaced = (error: string) => encodePost(withRefresh({ error }, result.stopPod === true));
  try {
    const measured = measurePost(result);
    if (measured.bytes <= limit.maxBytes) return measured.encode();
    return replaced(tooLargeText(measured.bytes, limit));
  } catch (error) {
    return replaced(`The result cannot be written as JSON: ${describeError(error)}`);
  }
}

function tooLargeText(bytes: number, { maxBytes, hint }: ResultLimit): string {
  const sizes = `The result is ${inBytes(bytes)} of JSON, and RESULT_MAX_BYTES allows ${inBytes(maxBytes)}`;
  return hint ? `${sizes}; ${hint}` : sizes;
}

/** What is posted instead of a result that the platform refused for good. */
export function toRefusal(
  bytes: number,
  { why, maxBytes, hint }: ResultLimit & { why: string },
): ResultBody {
  const what = `The platform refused a result of ${inBytes(bytes)}: ${why}`;
  const setting = `RESULT_MAX_BYTES is ${inBytes(maxBytes)}; lower it if the platform takes less`;
  return { error: [what, setting, ...(hint ? [hint] : [])].join('; ') };
}

/** Adds the wish for a fresh worker. */
export function withRefresh(result: ResultBody, refresh: boolean): ResultBody {
  return refresh ? { ...result, stopPod: true } : result;
}

/** What counts as an error or a flag: Python's idea of truth, where empty lists and objects are false too. */
export function isTrue(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return Boolean(value);
  if (isError(value)) return true;
  return Object.keys(value).length > 0;
}

/** Any value as the text of an error. */
export function toErrorText(error: unknown): string {
  if (typeof error === 'string') return error;
  if (isError(error)) return describeError(error);
  try {
    return toText(measureJson(error).encode());
  } catch {
    return String(error);
  }
}

export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return !(value instanceof Base64) && !('toJSON' in value);
}

function inBytes(count: number): string {
  return `${count.toLocaleString('en-US')} bytes`;
}
