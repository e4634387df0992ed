import { describeError, isError } from '../errors.ts';
import { withoutPaths } from '../http/redact.ts';
import { measureJson, type JsonBody } from '../json-body.ts';
import { toJobError, type EncodedResult, type JobResult } from '../queues/queue.ts';

export interface ResultLimit {
  readonly maxBytes: number;
  /** Advice for a result that is too large; ends the message. */
  readonly hint?: string | undefined;
}

/**
 * Serializes a result. One that JSON cannot hold, or that is larger than allowed, becomes a failure that says so: a job
 * without a posted result would hang until the platform gives it up.
 */
export function encodeResult(result: JobResult, { maxBytes, hint }: ResultLimit): EncodedResult {
  const { output, ...rest } = result;
  const freshWorker = rest.freshWorker === true && { freshWorker: true };
  try {
    const measured = output === undefined ? undefined : measureJson(output);
    const bytes = resultBytes(measured, rest);
    if (bytes <= maxBytes) return { ...(measured && { output: measured.encode() }), ...rest };
    const sizes = `The result is ${inBytes(bytes)} of JSON, and RESULT_MAX_BYTES allows ${inBytes(maxBytes)}`;
    const text = hint ? `${sizes}; ${hint}` : sizes;
    return { error: toJobError('result.too_large', text), ...freshWorker };
  } catch (error) {
    const text = `The result cannot be written as JSON: ${describeError(error)}`;
    return { error: toJobError('result.unserializable', text), ...freshWorker };
  }
}

/**
 * Size of a result in bytes: that of the JSON object `{"output":…,"error":"…","stopPod":true}` that RunPod receives.
 * `RESULT_MAX_BYTES` limits this size on every queue, so a job that fits here fits there.
 */
export function resultBytes(
  output: Pick<JsonBody, 'bytes'> | undefined,
  { error, freshWorker = false }: Pick<JobResult, 'error' | 'freshWorker'>,
): number {
  const members = [
    ...(output ? ['"output":'.length + output.bytes] : []),
    ...(error ? ['"error":'.length + Buffer.byteLength(JSON.stringify(error.message))] : []),
    ...(freshWorker ? ['"stopPod":true'.length] : []),
  ];
  const commas = Math.max(0, members.length - 1);
  return members.reduce((sum, bytes) => sum + bytes, '{}'.length + commas);
}

/** The result of a job whose handler threw. Neither message nor trace shows file paths of the server. */
export function toThrownResult(error: unknown): JobResult {
  const type = isError(error) ? error.name : typeof error;
  const message = withoutPaths(describeError(error));
  const stack = isError(error) ? (error.stack ?? '') : '';
  const functions = stack.matchAll(/^\s+at (?:async )?(.+?) \(/gm).map(([, name]) => name);
  const title = isError(error) ? `${error.name}: ${message}` : message;
  const trace = [title, ...functions.map((name) => `    at ${name}`)].join('\n');
  return { error: { ...toJobError('worker.unexpected', message), thrown: { type, trace } } };
}

/** Posted instead of a result of `bytes` that the platform refused for good. */
export function toRefusedResult(
  bytes: number,
  { reason, maxBytes, hint }: ResultLimit & { readonly reason: string },
): EncodedResult {
  const what = `The platform refused a result of ${inBytes(bytes)}: ${reason}`;
  const setting = `RESULT_MAX_BYTES is ${inBytes(maxBytes)}; lower it if the platform takes less`;
  const text = [what, setting, ...(hint ? [hint] : [])].join('; ');
  return { error: toJobError('result.too_large', text) };
}

function inBytes(count: number): string {
  return `${count.toLocaleString('en-US')} bytes`;
}
