/** The party that can do something about an error. */
export type Owner = 'caller' | 'comfy' | 'storage' | 'platform' | 'operator' | 'worker';

interface ErrorKind {
  readonly owner: Owner;
  /** Whether the same job may succeed when it is sent again. */
  readonly retryable: boolean;
  /** Whether the worker itself runs the job once more when ComfyUI died under it. Never for an error of a node. */
  readonly replay?: true;
  readonly meaning: string;
  /** What the worker does next. */
  readonly then: string;
}

const FAILS = 'The job fails with this text.';

/**
 * All errors. Codes are for programs and logs and never change. The message of an error is for people: what failed, on
 * what, why, and what to do. `docs/errors.md` is written from this table.
 */
export const ERROR_KINDS = {
  'config.invalid': {
    owner: 'operator',
    retryable: false,
    meaning: 'An environment variable or flag does not parse, or two contradict each other.',
    then: 'The worker does not start. All problems are reported together.',
  },
  'worker.unfit': {
    owner: 'operator',
    retryable: false,
    meaning: 'A check before the first job failed; the message says which.',
    then: 'The worker tells the platform that it is unhealthy, and exits with code 1.',
  },
  'worker.unexpected': {
    owner: 'worker',
    retryable: true,
    meaning: 'A defect: the worker failed in a way it does not handle.',
    then: FAILS,
  },
  'input.missing': {
    owner: 'caller',
    retryable: false,
    meaning: 'The job has no input.',
    then: FAILS,
  },
  'input.not_json': {
    owner: 'caller',
    retryable: false,
    meaning: 'The input is a string that is not JSON, or not an object.',
    then: FAILS,
  },
  'input.workflow_missing': {
    owner: 'caller',
    retryable: false,
    meaning: 'The input has no workflow.',
    then: FAILS,
  },
  'input.images_invalid': {
    owner: 'caller',
    retryable: false,
    meaning: '`images` is not a list of objects with `name` and `image`.',
    then: FAILS,
  },
  'input.invalid': {
    owner: 'caller',
    retryable: false,
    meaning: 'Another field of the input is invalid; the message names all such fields.',
    then: FAILS,
  },
  'input.upload_failed': {
    owner: 'caller',
    retryable: true,
    replay: true,
    meaning:
      'One or more input files could not be decoded, downloaded or stored in ComfyUI; `details` has a line for each.',
    then: FAILS,
  },
  'input.download_refused': {
    owner: 'caller',
    retryable: false,
    meaning:
      'A URL is not allowed, or the server refused it, or the file is too large. Another attempt would not help.',
    then: 'A line in the `details` of `input.upload_failed`.',
  },
  'input.download_failed': {
    owner: 'caller',
    retryable: true,
    meaning: 'A download failed, also after retries.',
    then: 'A line in the `details` of `input.upload_failed`.',
  },
  'model.refused': {
    owner: 'operator',
    retryable: false,
    meaning:
      'A model cannot be had from its URL: the site refuses it (gated, no such file, login needed), or sends something else than the manifest promises. Another attempt would not help.',
    then: 'The command or the job fails. No file is left under the name of the model.',
  },
  'model.download_failed': {
    owner: 'operator',
    retryable: true,
    meaning: 'The download of a model failed, also after retries.',
    then: 'The command or the job fails. The parts that have arrived are kept, and the next attempt resumes.',
  },
  'model.not_stored': {
    owner: 'operator',
    retryable: false,
    meaning: 'A model could not be written: the disk is full, or the folder is not writable.',
    then: 'The command or the job fails.',
  },
  'manifest.invalid': {
    owner: 'operator',
    retryable: false,
    meaning:
      'A manifest, its lock file, or a source to make one from cannot be read; the message names each wrong field.',
    then: 'The command ends with exit code 2.',
  },
  'manifest.step_failed': {
    owner: 'operator',
    retryable: true,
    meaning:
      'A program that `manifest apply` ran (apt-get, pip, git) failed; the message has its last lines.',
    then: 'The command ends with exit code 1.',
  },
  'comfy.unreachable': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning:
      'ComfyUI did not answer within `COMFY_API_AVAILABLE_*` and `COMFY_STARTUP_TIMEOUT_S`, or its process has ended.',
    then: FAILS,
  },
  'comfy.rejected': {
    owner: 'caller',
    retryable: false,
    meaning:
      'ComfyUI answered 400 to the workflow, or a check before found that it would refuse the workflow or crash.',
    then: FAILS,
  },
  'comfy.queue_failed': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning: 'The workflow could not be queued: an HTTP error, an invalid answer, or no answer.',
    then: FAILS,
  },
  'comfy.socket_failed': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning: 'The websocket to ComfyUI could not be opened, or was lost and could not be reopened.',
    then: 'The prompt is interrupted or removed from the queue, and the job fails.',
  },
  'comfy.request_failed': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning: 'Another request to ComfyUI failed: history, queue or view.',
    then: 'Retried if that is safe. Otherwise the job fails, or the output is missing with an entry in `errors`.',
  },
  'comfy.protocol': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning: 'ComfyUI sent an answer or a message that the worker cannot read.',
    then: FAILS,
  },
  'comfy.prompt_lost': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning:
      'The prompt is neither in the queue nor in the history: it was deleted, or ComfyUI restarted.',
    then: FAILS,
  },
  'comfy.not_begun': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning: 'ComfyUI died while the prompt waited in its queue behind another prompt.',
    then: 'The prompt is submitted again when ComfyUI is up. This does not count as an attempt; after a few times the job fails.',
  },
  'comfy.interrupted': {
    owner: 'comfy',
    retryable: true,
    meaning: 'Somebody interrupted the prompt.',
    then: 'The job fails. Images saved before are returned beside the error.',
  },
  'comfy.silent': {
    owner: 'comfy',
    retryable: true,
    replay: true,
    meaning:
      'ComfyUI says that the prompt is running, but has sent nothing for `COMFY_SILENCE_TIMEOUT_S`.',
    then: 'The prompt is interrupted and the job fails.',
  },
  'comfy.execution_failed': {
    owner: 'caller',
    retryable: true,
    meaning: 'A node failed, or no output could be returned.',
    then: 'The job fails if there is no output at all. Otherwise the text is in `errors`.',
  },
  'comfy.partly_accepted': {
    owner: 'caller',
    retryable: false,
    meaning: 'ComfyUI accepted only a part of the workflow, and `output.strict` is set.',
    then: 'The prompt is interrupted or removed from the queue, and the job fails; `details` has the reasons.',
  },
  'comfy.disk_not_shared': {
    owner: 'operator',
    retryable: false,
    meaning:
      "`CLEANUP` is `always`, but the worker cannot see ComfyUI's input or output folder on its disks.",
    then: FAILS,
  },
  'output.node_unknown': {
    owner: 'caller',
    retryable: false,
    meaning:
      '`output.nodes` names a node that is not in the workflow; the message lists all nodes.',
    then: 'The job fails before the workflow runs.',
  },
  'output.no_destination': {
    owner: 'caller',
    retryable: false,
    meaning: '`output.delivery` asks for a store that neither the job nor the worker has.',
    then: 'The job fails before the workflow runs.',
  },
  'output.too_few': {
    owner: 'caller',
    retryable: true,
    meaning: 'There are fewer files or texts than `output.expect` asks for.',
    then: 'The job fails. All outputs are returned beside the error.',
  },
  'job.deadly': {
    owner: 'caller',
    retryable: false,
    meaning:
      'The same job killed ComfyUI with each of its attempts not long ago (`DEADLY_JOB_TTL_S`).',
    then: 'The job fails with this text. ComfyUI does not get it.',
  },
  'job.timeout': {
    owner: 'caller',
    retryable: true,
    meaning:
      'The job took longer than `timeout_s`, `policy.executionTimeout` or `JOB_TIMEOUT_S`; the message says where it stood.',
    then: 'The prompt is interrupted until it has ended. The job fails with the outputs that were made.',
  },
  'job.stopped': {
    owner: 'platform',
    retryable: false,
    meaning:
      'The platform cancelled the job, or the worker was told to exit before the job had ended.',
    then: 'The prompt is interrupted or removed from the queue. Nothing is posted.',
  },
  'queue.full': {
    owner: 'caller',
    retryable: true,
    meaning: 'The queue in memory is full, by number of jobs or by bytes.',
    then: 'The job is not accepted; the local API answers 429.',
  },
  'api.bad_request': {
    owner: 'caller',
    retryable: false,
    meaning:
      'The local API cannot read the request, or the operation is not possible in the state of the job.',
    then: 'Answered 400.',
  },
  'api.unauthorized': {
    owner: 'caller',
    retryable: false,
    meaning: 'A request to the local API has no API key, or a wrong one.',
    then: 'Answered 401.',
  },
  'api.forbidden': {
    owner: 'caller',
    retryable: false,
    meaning:
      'A request to the local API comes from a page of another site, or under a host name that is not its own.',
    then: 'Answered 403.',
  },
  'api.job_unknown': {
    owner: 'caller',
    retryable: false,
    meaning: 'The local API has no such job: there was none, or it has expired.',
    then: 'Answered 404.',
  },
  'api.too_large': {
    owner: 'caller',
    retryable: false,
    meaning: 'The body of a request is larger than `API_RUN_MAX_BYTES` or `API_RUNSYNC_MAX_BYTES`.',
    then: 'Answered 413.',
  },
  'api.rate_limited': {
    owner: 'caller',
    retryable: true,
    meaning: 'A client exceeded the request limits (`API_RATE_LIMITS`).',
    then: 'Answered 429 with `Retry-After`.',
  },
  'api.stopping': {
    owner: 'operator',
    retryable: true,
    meaning: 'The local API is stopping, or ComfyUI does not answer.',
    then: 'Answered 503. Jobs that have not started fail.',
  },
  'result.too_large': {
    owner: 'operator',
    retryable: false,
    meaning:
      'The result is larger than `RESULT_MAX_BYTES`, or the platform refused it because of its size.',
    then: 'A failure that names both sizes is posted instead.',
  },
  'result.unserializable': {
    owner: 'worker',
    retryable: false,
    meaning: 'The result contains a value that JSON cannot represent.',
    then: 'A failure is posted instead.',
  },
  'storage.misconfigured': {
    owner: 'operator',
    retryable: false,
    meaning: 'Bucket settings are incomplete or contradict each other.',
    then: 'The worker does not start.',
  },
  'storage.upload_failed': {
    owner: 'storage',
    retryable: true,
    meaning: 'A file could not be stored in the bucket, or in another store the job names.',
    then: 'The file is returned as base64 if it fits, else it goes to the next store. `errors` has an entry for it.',
  },
  'platform.take_failed': {
    owner: 'platform',
    retryable: true,
    meaning: 'Asking the platform for jobs failed.',
    then: 'Retried with backoff and jitter.',
  },
  'platform.post_failed': {
    owner: 'platform',
    retryable: true,
    meaning: 'A result could not be posted.',
    then: 'Retried until `RESULT_DELIVERY_TIMEOUT_S`. Meanwhile the result is kept on disk.',
  },
  'platform.post_refused': {
    owner: 'platform',
    retryable: false,
    meaning:
      'The platform refused a result for good; RunPod does so with 400 when it is too large.',
    then: 'A small failure that says so is posted instead.',
  },
  'platform.job_unknown': {
    owner: 'platform',
    retryable: false,
    meaning: 'The platform no longer knows the job of a result.',
    then: 'The result is dropped with a warning.',
  },
  'usage.invalid': {
    owner: 'caller',
    retryable: false,
    meaning: 'An argument, an option or a file of a command is invalid.',
    then: 'The command ends with exit code 2. Nothing has been run.',
  },
  'workflow.unreadable': {
    owner: 'caller',
    retryable: false,
    meaning:
      'What was sent is no workflow in either format, or a file that carries none. The message names it.',
    then: FAILS,
  },
  'workflow.unconvertible': {
    owner: 'caller',
    retryable: false,
    meaning:
      "A workflow in the editor's format cannot be converted to the API format; the message says why.",
    then: FAILS,
  },
  'workflow.name_unknown': {
    owner: 'caller',
    retryable: false,
    meaning: 'The worker has no workflow of that name.',
    then: FAILS,
  },
  'workflow.params_invalid': {
    owner: 'caller',
    retryable: false,
    meaning: '`params` do not fit the named workflow; the message has a line for each field.',
    then: FAILS,
  },
  'workflow.broken': {
    owner: 'operator',
    retryable: false,
    meaning: 'A workflow module of this worker cannot be loaded, or does not return a workflow.',
    then: FAILS,
  },
  'workflow.input_unknown': {
    owner: 'caller',
    retryable: false,
    meaning:
      'An override names an input that is not in the workflow, or a title that several nodes have.',
    then: 'The job fails before the workflow runs. The message lists the names there are.',
  },
  'endpoint.unreachable': {
    owner: 'platform',
    retryable: true,
    meaning: 'The endpoint that a command submits to does not answer, or refuses the API key.',
    then: 'The command ends with exit code 3.',
  },
  'endpoint.refused': {
    owner: 'caller',
    retryable: false,
    meaning: 'The endpoint answered a submitted job with an error.',
    then: 'The command ends with exit code 1.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/** Whether a job that failed in this way is run once more, if ComfyUI died meanwhile. */
export function isReplayed(code: ErrorCode): boolean {
  const kind: ErrorKind = ERROR_KINDS[code];
  return kind.replay ?? false;
}

export interface WorkerErrorOptions {
  readonly cause?: unknown;
  /** One line for each part that failed. */
  readonly details?: readonly string[];
  /** The delay the other side asked for (`Retry-After`). */
  readonly retryAfterMs?: number | undefined;
}

/** The only error class of this project. A module wraps a foreign error once, at its border, as the `cause`. */
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

/** Whether `value` is an error of any realm. In jest, errors of Node's core are not `instanceof` the test's `Error`. */
export function isError(value: unknown): value is Error {
  return Object.prototype.toString.call(value) === '[object Error]' || value instanceof WorkerError;
}

/** Whether `value` is a {@link WorkerError}, with `code` if one is given. */
export function isWorkerError(value: unknown, code?: ErrorCode): value is WorkerError {
  return value instanceof WorkerError && (code === undefined || value.code === code);
}

/** The error code of Node (`ECONNRESET`) or undici (`UND_ERR_SOCKET`), of the error or of one of its causes. */
export function errnoOf(error: unknown): string | undefined {
  for (let at: unknown = error, depth = 0; isError(at) && depth < 5; at = at.cause, depth++) {
    if ('code' in at && typeof at.code === 'string' && !(at instanceof WorkerError)) return at.code;
  }
  return undefined;
}

/** The message of an error without its stack; of an `AggregateError` without one, the message of its first error. */
export function describeError(error: unknown): string {
  if (!isError(error)) return String(error);
  const errors: unknown = 'errors' in error ? error.errors : undefined;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  return error.message || (first === undefined ? error.name : describeError(first));
}

/** Lines that an error or an answer lists at most. Nobody reads more, and a hundred thousand of them fill a result. */
export const MAX_LINES = 50;

/** The first lines, and how many there are beside them. */
export function shownLines(lines: readonly string[], total = lines.length): string[] {
  const shown = lines.slice(0, MAX_LINES);
  return total > shown.length ? [...shown, `... and ${total - shown.length} more`] : shown;
}
