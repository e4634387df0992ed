/**
 * Everything that can go wrong, in one table. The code is for programs and logs and never changes; the message of an
 * error is for people: what failed, on what, why, and what to do.
 */

/** Who can do something about it. */
export type Owner = 'caller' | 'comfy' | 'storage' | 'platform' | 'operator' | 'worker';

interface ErrorKind {
  readonly owner: Owner;
  /** Whether sending the same job again may succeed. */
  readonly retryable: boolean;
  readonly meaning: string;
  /** What the worker does next. */
  readonly then: string;
}

const kind = (owner: Owner, retryable: boolean, meaning: string, then: string): ErrorKind => ({
  owner,
  retryable,
  meaning,
  then,
});

const FAILS = 'The job fails with this text.';

export const ERROR_KINDS = {
  'config.invalid': kind(
    'operator',
    false,
    'An environment variable or flag does not parse, or two contradict each other.',
    'The worker does not start; all problems are listed together.',
  ),
  'worker.unfit': kind(
    'operator',
    false,
    'A check before the first job failed; the message names it.',
    'The platform is told that the worker is unhealthy, and the worker exits with code 1.',
  ),
  'worker.unexpected': kind(
    'worker',
    true,
    'The worker failed in a way it does not know: a defect.',
    FAILS,
  ),
  'input.missing': kind('caller', false, 'The job has no input.', FAILS),
  'input.not_json': kind(
    'caller',
    false,
    'The input is a string that is not JSON, or not an object.',
    FAILS,
  ),
  'input.workflow_missing': kind('caller', false, 'The input has no workflow.', FAILS),
  'input.images_invalid': kind(
    'caller',
    false,
    '`images` is not a list of objects with `name` and `image`.',
    FAILS,
  ),
  'input.invalid': kind(
    'caller',
    false,
    'Another field of the input is not what it should be; the message names all of them.',
    FAILS,
  ),
  'input.upload_failed': kind(
    'caller',
    true,
    'One or more inputs could not be decoded, fetched or put into ComfyUI; `details` has a line for each.',
    FAILS,
  ),
  'input.download_refused': kind(
    'caller',
    false,
    'A URL leads where this worker does not go, is denied there, or names more than is fetched.',
    'Told in `details` of `input.upload_failed`.',
  ),
  'input.download_failed': kind(
    'caller',
    true,
    'A URL did not give its file, although it was tried again where that could help.',
    'Told in `details` of `input.upload_failed`.',
  ),
  'comfy.unreachable': kind(
    'comfy',
    true,
    'ComfyUI did not answer within the bounds of `COMFY_API_AVAILABLE_*` and `COMFY_STARTUP_TIMEOUT_S`, or its process is gone.',
    FAILS,
  ),
  'comfy.rejected': kind(
    'caller',
    false,
    'ComfyUI answered 400 to the workflow, or was certain to refuse it or to die of it.',
    FAILS,
  ),
  'comfy.queue_failed': kind(
    'comfy',
    true,
    'The workflow could not be queued: an HTTP error, a broken answer, or none.',
    FAILS,
  ),
  'comfy.socket_failed': kind(
    'comfy',
    true,
    'The websocket to ComfyUI could not be opened, or was lost and not recovered.',
    'The prompt is interrupted or removed from the queue, and the job fails.',
  ),
  'comfy.request_failed': kind(
    'comfy',
    true,
    'Another request to ComfyUI failed: history, queue or view.',
    'Retried where that is safe; otherwise the job fails or the output is reported in `errors`.',
  ),
  'comfy.protocol': kind('comfy', true, 'ComfyUI sent something that cannot be understood.', FAILS),
  'comfy.prompt_lost': kind(
    'comfy',
    true,
    'The prompt is neither queued nor in the history: removed, or ComfyUI restarted.',
    FAILS,
  ),
  'comfy.interrupted': kind(
    'comfy',
    true,
    'Somebody interrupted the prompt.',
    'The job fails; images saved before are returned beside the error.',
  ),
  'comfy.silent': kind(
    'comfy',
    true,
    'ComfyUI says the prompt runs but has sent nothing for `COMFY_SILENCE_TIMEOUT_S`.',
    'The prompt is interrupted and the job fails.',
  ),
  'comfy.execution_failed': kind(
    'caller',
    true,
    'A node raised, or nothing that could be returned was made.',
    'The job fails if nothing was collected; otherwise the text is in `errors`.',
  ),
  'comfy.partly_accepted': kind(
    'caller',
    false,
    'ComfyUI took only a part of the workflow, and `output.strict` asks for all of it.',
    'The prompt is removed from the queue or interrupted, and the job fails; `details` tells what is wrong.',
  ),
  'comfy.disk_not_shared': kind(
    'operator',
    false,
    "`CLEANUP` is `always`, and ComfyUI's input or output folder is on no disk that this worker sees.",
    FAILS,
  ),
  'output.node_unknown': kind(
    'caller',
    false,
    '`output.nodes` names a node that is not in the workflow; the message lists the nodes there are.',
    'Nothing is run.',
  ),
  'output.no_destination': kind(
    'caller',
    false,
    '`output.delivery` asks for a place that neither the job names nor the worker has.',
    'Nothing is run.',
  ),
  'output.too_few': kind(
    'caller',
    true,
    'Fewer files or texts were made than `output.expect` asks for.',
    'The job fails; all outputs are returned beside the error.',
  ),
  'job.timeout': kind(
    'caller',
    true,
    'The job took longer than `policy.executionTimeout` or `JOB_TIMEOUT_S` allow.',
    'The prompt is interrupted and the job fails.',
  ),
  'job.stopped': kind(
    'platform',
    false,
    'The platform cancelled the job, or the worker was told to end before it was done.',
    'The prompt is interrupted or removed from the queue; nothing is posted.',
  ),
  'queue.full': kind(
    'caller',
    true,
    'The queue in memory holds as many jobs, or bytes of them, as it may.',
    'The job is not accepted; the local API answers 429.',
  ),
  'api.bad_request': kind(
    'caller',
    false,
    'The local API cannot read the request, or the operation does not fit the state of the job.',
    'Answered 400.',
  ),
  'api.unauthorized': kind(
    'caller',
    false,
    'A request to the local API has no key, or a wrong one.',
    'Answered 401.',
  ),
  'api.forbidden': kind(
    'caller',
    false,
    'A request to the local API comes from a web page of somebody else, or under a name that is not its own.',
    'Answered 403.',
  ),
  'api.job_unknown': kind(
    'caller',
    false,
    'The local API knows no such job: it never did, or its time is over.',
    'Answered 404.',
  ),
  'api.too_large': kind(
    'caller',
    false,
    'The body of a request is larger than `API_RUN_MAX_BYTES` or `API_RUNSYNC_MAX_BYTES`.',
    'Answered 413.',
  ),
  'api.rate_limited': kind(
    'caller',
    true,
    'There were more requests than `API_RATE_LIMITS` lets through.',
    'Answered 429 with `Retry-After`.',
  ),
  'api.stopping': kind(
    'operator',
    true,
    'The local API is being stopped, or ComfyUI does not answer.',
    'Answered 503; jobs that nobody had begun fail.',
  ),
  'result.too_large': kind(
    'operator',
    false,
    'The result is larger than `RESULT_MAX_BYTES`, or the platform refused its size.',
    'A failure with the numbers is posted instead.',
  ),
  'result.unserializable': kind(
    'worker',
    false,
    'The result holds something JSON cannot.',
    'A failure is posted instead.',
  ),
  'storage.misconfigured': kind(
    'operator',
    false,
    'Bucket settings are incomplete or contradict each other.',
    'The worker does not start.',
  ),
  'storage.upload_failed': kind(
    'storage',
    true,
    'A file could not be stored in the bucket, or in another place the job names.',
    'The file comes back as base64 if it fits, else it goes to the next place there is; with an entry in `errors`.',
  ),
  'platform.take_failed': kind(
    'platform',
    true,
    'Asking for jobs failed.',
    'Asked again after a growing, jittered delay.',
  ),
  'platform.post_failed': kind(
    'platform',
    true,
    'A result could not be posted.',
    'Tried again until `RESULT_DELIVERY_TIMEOUT_S`; kept on disk meanwhile.',
  ),
  'platform.post_refused': kind(
    'platform',
    false,
    'The platform refused a result for good, as RunPod does with 400 when it is too large.',
    'A small failure that says so is posted instead.',
  ),
  'platform.job_unknown': kind(
    'platform',
    false,
    'The platform no longer knows the job a result belongs to.',
    'The result is given up with a warning.',
  ),
  'usage.invalid': kind(
    'caller',
    false,
    'An argument, an option or a file of the command line cannot be used.',
    'The command ends with exit code 2; nothing has been run.',
  ),
  'workflow.unreadable': kind(
    'caller',
    false,
    'What was sent as workflow is none: neither nodes with a `class_type` nor what the editor saves.',
    FAILS,
  ),
  'workflow.unconvertible': kind(
    'caller',
    false,
    'A workflow as the editor saves it cannot be made into what ComfyUI runs; the message says why.',
    FAILS,
  ),
  'workflow.name_unknown': kind(
    'caller',
    false,
    'There is no workflow of that name on this worker.',
    FAILS,
  ),
  'workflow.params_invalid': kind(
    'caller',
    false,
    '`params` are not what the named workflow asks for; the message has a line per field.',
    FAILS,
  ),
  'workflow.broken': kind(
    'operator',
    false,
    'A workflow kept on this worker cannot be loaded, or does not make a workflow.',
    FAILS,
  ),
  'workflow.input_unknown': kind(
    'caller',
    false,
    'An input that was to be set is not in the workflow, or more than one node goes by that name.',
    'Nothing is run; the message lists the names there are.',
  ),
  'endpoint.unreachable': kind(
    'platform',
    true,
    'The endpoint a job is submitted to does not answer, or does not let the caller in.',
    'The command ends with exit code 3.',
  ),
  'endpoint.refused': kind(
    'caller',
    false,
    'The endpoint answered a submitted job with an error.',
    'The command ends with exit code 1.',
  ),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

export interface WorkerErrorOptions {
  readonly cause?: unknown;
  /** One line per part that failed, where there are several. */
  readonly details?: readonly string[];
  /** How long the other side asked to wait before the next try. */
  readonly retryAfterMs?: number | undefined;
}

/** The one error class of this project. Wrap once, at the border of a module, with the cause. */
export class WorkerError extends Error {
  readonly code: ErrorCode;
  readonly details: readonly string[] | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: WorkerErrorOptions = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'WorkerError';
    this.code = code;
    this.details = options.details;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** True for errors of any realm. `instanceof Error` is not: under jest, errors of Node's core come from another one. */
export function isError(value: unknown): value is Error {
  return Object.prototype.toString.call(value) === '[object Error]' || value instanceof WorkerError;
}

/** Whether `value` is a {@link WorkerError}, of the given code if one is named. */
export function isWorkerError(value: unknown, code?: ErrorCode): value is WorkerError {
  return value instanceof WorkerError && (code === undefined || value.code === code);
}

/** Node's error code (`ECONNRESET`) or undici's (`UND_ERR_SOCKET`), looked for along the causes. */
export function errnoOf(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; isError(at) && depth < 5; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string' && !(at instanceof WorkerError)) return at.code;
  }
  return undefined;
}

/** What went wrong in one line, without stack and without paths. */
export function describeError(error: unknown): string {
  if (!isError(error)) return String(error);
  const errors: unknown = 'errors' in error ? error.errors : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return error.message || (first === undefined ? error.name : describeError(first));
}
