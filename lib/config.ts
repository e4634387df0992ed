import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { splitCommandLine } from './command-line.ts';
import { describeError, WorkerError } from './errors.ts';

/** One environment variable. */
interface Variable<T> {
  /** The section of `docs/configuration.md`. */
  readonly group: Group;
  /** Parses the text of the variable. */
  readonly schema: z.ZodType<T, string>;
  /** A function if the default depends on the machine. */
  readonly default: T | (() => T);
  readonly description: string;
  /** The default as `docs/configuration.md` shows it, if `default` itself is not readable. */
  readonly shownDefault?: string;
}

export type Group =
  | 'platform'
  | 'jobs'
  | 'inputs'
  | 'models'
  | 'outputs'
  | 'results'
  | 'comfy'
  | 'bucket'
  | 'api'
  | 'log';

const text = z.string();
const url = z
  .string()
  .refine((value) => URL.canParse(value), 'must be a URL, for example http://127.0.0.1:8188');
const httpUrl = url.refine(
  (value) => !URL.canParse(value) || /^https?:$/.test(new URL(value).protocol),
  'must start with http:// or https://',
);

const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  z
    .string()
    .regex(/^\s*[+-]?\d+\s*$/, 'must be a whole number')
    .transform(Number)
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`));

const flag = z
  .string()
  .transform((value) => value.trim().toLowerCase())
  .pipe(z.enum(['true', 'false', '1', '0', 'yes', 'no'], 'must be true or false'))
  .transform((value) => ['true', '1', 'yes'].includes(value));

/** Never as `{}`; every job as `after-1`. */
const refreshPolicy = z
  .string()
  .transform((value) => value.trim().toLowerCase())
  .pipe(
    z
      .string()
      .regex(
        /^(?:true|false|1|0|yes|no|after-error|after-[1-9]\d{0,8})$/,
        'must be true, false, after-error or after-N, for example after-10',
      ),
  )
  .transform((value): { readonly afterJobs?: number; readonly afterError?: true } => {
    if (value === 'after-error') return { afterError: true };
    if (value.startsWith('after-')) return { afterJobs: Number(value.slice('after-'.length)) };
    return ['true', '1', 'yes'].includes(value) ? { afterJobs: 1 } : {};
  });

const hostList = z
  .string()
  .transform((value) => value.split(',').map((host) => host.trim().toLowerCase()))
  .pipe(z.array(z.string().regex(/^[^\s/@]+:\d+$/, 'must be host:port, separated by commas')));

/** A list in JSON, whose items are checked by the part that uses them. */
const jsonList = z
  .string()
  .transform((value): unknown => {
    try {
      return JSON.parse(value);
    } catch {
      return undefined;
    }
  })
  .pipe(z.array(z.unknown(), 'must be a list in JSON'));

const wordList = z.string().transform((value) => value.split(/[\s,]+/).filter((one) => one !== ''));

/** A command line, as words. */
const commandLine = z.string().transform((value, context): readonly string[] => {
  try {
    return splitCommandLine(value);
  } catch (error) {
    context.addIssue({ code: 'custom', message: describeError(error) });
    return z.NEVER;
  }
});

/** A log level by the names of the Python SDK. */
export const LogLevelSchema = z
  .string()
  .transform((value) => value.trim().toUpperCase())
  .pipe(
    z.enum(
      ['NOTSET', 'TRACE', 'DEBUG', 'INFO', 'WARN', 'WARNING', 'ERROR'],
      'must be TRACE, DEBUG, INFO, WARN, ERROR or NOTSET',
    ),
  )
  .transform((value) => {
    if (value === 'NOTSET') return 'silent' as const;
    if (value === 'WARNING') return 'warn' as const;
    return value.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
  });

const none = undefined;
/** For variables without a default. */
const optional = <T>(schema: z.ZodType<T, string>): z.ZodType<T | undefined, string> => schema;

/** A row of the table: group, schema, default, description, and the default as it is shown. */
const variable = <T>(
  group: Group,
  schema: z.ZodType<T, string>,
  defaultValue: T | (() => T),
  description: string,
  shownDefault?: string,
): Variable<T> => ({
  group,
  schema,
  default: defaultValue,
  description,
  ...(shownDefault !== undefined && { shownDefault }),
});

/**
 * All environment variables. `docs/configuration.md` is written from this table. The empty string means "not set". Blanks
 * and line breaks around a value are removed, because secrets read from files have them.
 */
export const VARIABLES = {
  RUNPOD_WEBHOOK_GET_JOB: variable(
    'platform',
    optional(httpUrl),
    none,
    'URL to take jobs from; set by the platform. `$ID` and `$RUNPOD_POD_ID` are replaced by the worker id. Without it the worker serves the local API.',
  ),
  RUNPOD_WEBHOOK_POST_OUTPUT: variable(
    'platform',
    optional(httpUrl),
    none,
    'URL to post results and progress to; set by the platform. `$RUNPOD_POD_ID` is replaced by the worker id, `$ID` by the job id.',
  ),
  RUNPOD_WEBHOOK_PING: variable(
    'platform',
    optional(text),
    none,
    'URL for heartbeats; set by the platform. `PING_NOT_SET` means none.',
  ),
  RUNPOD_PING_INTERVAL: variable(
    'platform',
    integer(0).transform((ms) => Math.max(ms, 1000)),
    10_000,
    'Milliseconds between heartbeats, at least 1000.',
  ),
  RUNPOD_AI_API_KEY: variable(
    'platform',
    optional(text),
    none,
    'API key of the platform, sent without `Bearer`. Without it no heartbeat is sent.',
  ),
  RUNPOD_POD_ID: variable(
    'platform',
    optional(text),
    none,
    'Id of this worker. Without it no heartbeat is sent, and jobs are taken under a random id.',
  ),
  RUNPOD_POD_HOSTNAME: variable('platform', text, 'unknown', 'Host name in error reports.'),
  RUNPOD_ENDPOINT_ID: variable(
    'platform',
    optional(text),
    none,
    'Set by the platform. If set, log lines are JSON.',
  ),
  RUNPOD_GPU_TYPE_ID: variable(
    'platform',
    optional(text),
    none,
    'Replaces `$RUNPOD_GPU_TYPE_ID` in the URLs above.',
  ),
  RUNPOD_UA_INTEGRATION: variable(
    'platform',
    optional(text),
    none,
    'Added to the User-Agent header as `Integration/<value>`.',
  ),

  JOB_CONCURRENCY: variable(
    'jobs',
    integer(1, 100),
    1,
    'Prompts in ComfyUI at the same time. ComfyUI runs one at a time; more helps workflows that wait for remote APIs.',
  ),
  JOB_PREFETCH: variable(
    'jobs',
    integer(0, 100),
    0,
    'Additional jobs to take, stage and queue in ComfyUI behind the running one, so that the GPU does not wait. Another worker cannot take them anymore.',
  ),
  JOB_TIMEOUT_S: variable(
    'jobs',
    integer(1),
    86_400,
    'Seconds a job may take. A shorter `timeout_s` of its input or `policy.executionTimeout` wins.',
  ),
  FAILURE_LOG_TAIL: variable(
    'jobs',
    integer(0, 50),
    50,
    "Lines of ComfyUI's output in the report on a failed job (`output.failure.log_tail`), at most. Only lines that were written while its prompt ran alone, without folders and secrets. 0: none.",
  ),
  PROGRESS_INTERVAL_MS: variable(
    'jobs',
    integer(0),
    1000,
    'Milliseconds between two progress posts of a job, at least. 0 turns progress off: for control planes that take every post for the result.',
  ),
  REFRESH_WORKER: variable(
    'jobs',
    refreshPolicy,
    {},
    '`true`: ask the platform for a fresh worker after every job, and exit; jobs then run one at a time, regardless of `JOB_CONCURRENCY` and `JOB_PREFETCH`. `after-10`: after ten jobs. `after-error`: after a job that failed. Other jobs in hand are finished first, and the last result asks.',
    '`false`',
  ),
  SHUTDOWN_GRACE_S: variable(
    'jobs',
    integer(1),
    25,
    'Seconds the worker takes to end after SIGTERM. Applies with `COMFY_COMMAND`: the running job may finish for about half of it, and is interrupted then. Without `COMFY_COMMAND`, jobs may finish however long they take.',
  ),
  HEARTBEAT_STUCK_S: variable(
    'jobs',
    integer(5),
    300,
    'Seconds the main thread may be blocked before heartbeats stop.',
  ),

  DOWNLOAD_MAX_BYTES: variable(
    'inputs',
    integer(1),
    4_294_967_296,
    'Largest file to download from a URL, in bytes.',
  ),
  DOWNLOAD_TIMEOUT_S: variable(
    'inputs',
    integer(1),
    600,
    'Seconds for the download of one file, including retries.',
  ),
  DOWNLOAD_IDLE_TIMEOUT_S: variable(
    'inputs',
    integer(1),
    30,
    'Seconds a server may be silent before a download is retried.',
  ),
  DOWNLOAD_RETRIES: variable(
    'inputs',
    integer(0, 20),
    4,
    'Retries of a download. An attempt that received data is resumed where it broke off, and does not count.',
  ),
  DOWNLOAD_ALLOW_PRIVATE: variable(
    'inputs',
    hostList,
    [],
    'Servers that files may be downloaded from although their addresses are not public: `host:port`, separated by commas. Only exactly these.',
    '-',
  ),
  INPUT_MAX_IMAGE_BYTES: variable(
    'inputs',
    integer(1),
    52_428_800,
    'Largest input image, in bytes. Other files have no such limit.',
  ),
  INPUT_MAX_IMAGE_EDGE: variable(
    'inputs',
    integer(1),
    16_384,
    'Largest width or height of an input image, in pixels.',
  ),
  INPUT_MAX_IMAGE_PIXELS: variable(
    'inputs',
    integer(1),
    67_108_864,
    'Largest input image, in pixels; of an animation: one frame.',
  ),
  INPUT_MAX_ANIMATION_PIXELS: variable(
    'inputs',
    integer(1),
    536_870_912,
    'Largest animation, in pixels of all frames together: ComfyUI decodes them all at once.',
  ),
  COMFY_INPUT_DIR: variable(
    'inputs',
    optional(text),
    none,
    "ComfyUI's input folder: for files too large to upload, for nodes that load by path, and to remove a job's input files. Used only if ComfyUI sees the same folder.",
    'found by asking ComfyUI',
  ),

  PREFLIGHT: variable(
    'inputs',
    z
      .string()
      .transform((value) => value.trim().toLowerCase())
      .pipe(z.enum(['auto', 'off'], 'must be auto or off')),
    'auto',
    '`auto`: check a workflow before it is submitted, and refuse one that ComfyUI would refuse or crash on, with all problems. `off`: submit without a check.',
  ),
  WORKFLOWS_DIR: variable(
    'inputs',
    optional(text),
    none,
    'Folder of workflows that jobs call by name: `name.json`, or a module `name.ts`, `name.mts`, `name.js` or `name.mjs` that returns one.',
  ),

  HF_TOKEN: variable(
    'models',
    optional(text),
    none,
    'Token of Hugging Face, for models that are gated or private. Sent to `HF_ENDPOINT` only.',
  ),
  HF_ENDPOINT: variable(
    'models',
    httpUrl,
    'https://huggingface.co',
    'URL of the hub, for mirrors.',
  ),
  CIVITAI_TOKEN: variable(
    'models',
    optional(text),
    none,
    'API key of Civitai. Sent to `CIVITAI_ENDPOINT` only.',
  ),
  CIVITAI_ENDPOINT: variable('models', httpUrl, 'https://civitai.com', 'URL of Civitai.'),
  MODEL_CREDENTIALS: variable(
    'models',
    jsonList,
    [],
    'Credentials for models at other sites, as JSON: a list of `{"url_pattern", "auth"}` as in `input.credentials` of a job. The type `s3` is for `s3://` URLs.',
    '-',
  ),
  MODEL_CONNECTIONS: variable(
    'models',
    integer(1, 64),
    16,
    'Connections to one host at the same time for downloads of models. A host that answers 429 or 503 gets half as many.',
  ),
  MODELS_DIR: variable(
    'models',
    optional(text),
    none,
    'Folder with the model folders (`checkpoints`, `loras`, ...) for the commands `models` and `manifest`.',
    '`models` in the folder of ComfyUI (`/comfyui/models`)',
  ),
  DYNAMIC_MODELS: variable(
    'models',
    flag,
    false,
    'Let jobs name models by URL: a URL at a loader is fetched into the folder the loader reads. Only from public addresses and `DOWNLOAD_ALLOW_PRIVATE`. The tokens above are used for such URLs, too. ComfyUI has to see the same disk.',
  ),
  MODEL_CACHE_MAX_GB: variable(
    'models',
    integer(1),
    100,
    'Gigabytes that models fetched by `DYNAMIC_MODELS` may take. Above it, those used longest ago are removed.',
  ),
  MANIFEST_FILE: variable(
    'models',
    text,
    'manifest.yaml',
    'The manifest of models and node packs. Its lock file is beside it.',
  ),

  CONVERT_SIDE_BY_SIDE: variable(
    'outputs',
    integer(1, 64),
    () => Math.min(availableParallelism(), 3),
    'Images converted at the same time (`output.convert`), of all jobs together. More than 3 helps only if `UV_THREADPOOL_SIZE` (4 by default) is larger, because one of those threads is needed for files and host names.',
    'as many as there are cores, at most 3',
  ),
  CONVERT_MAX_BYTES: variable(
    'outputs',
    integer(1),
    67_108_864,
    'Largest image to convert, in bytes. A larger one is returned unchanged, with an entry in `errors`.',
  ),
  CONVERT_MAX_PIXELS: variable(
    'outputs',
    integer(1),
    134_217_728,
    'Largest image to convert, in pixels of all frames.',
  ),
  CONVERT_TIMEOUT_S: variable(
    'outputs',
    integer(1),
    120,
    'Seconds the conversion of one image may take.',
  ),

  CLEANUP: variable(
    'outputs',
    z
      .string()
      .transform((value) => value.trim().toLowerCase())
      .pipe(z.enum(['auto', 'always', 'never'], 'must be auto, always or never')),
    'auto',
    "Removal of a job's files from ComfyUI's input and output folders when the job has ended. To allow it, each job saves its images, videos, sounds, texts and 3D files into its own folder. Models, LoRAs and datasets that a workflow saves stay. `auto`: if the worker sees those folders and they are not on a network volume. `always`: on a network volume, too; a job fails if the worker does not see the folders. `never`: workflows and folders are left unchanged.",
  ),
  COMFY_OUTPUT_DIR: variable(
    'outputs',
    optional(text),
    none,
    "ComfyUI's output folder, where the files of ended jobs are removed. Used only if ComfyUI sees the same folder.",
    'found by asking ComfyUI',
  ),

  OUTPUT_VOLUME_DIR: variable(
    'outputs',
    text,
    '/runpod-volume/outputs',
    'Folder on a network volume for `output.delivery` `volume` or `auto`. Each job gets a folder in it. Used only if it, or its parent folder, exists.',
  ),
  UPLOAD_ALLOW_PRIVATE: variable(
    'outputs',
    hostList,
    [],
    'Servers that jobs may upload files to although their addresses are not public: `host:port`, separated by commas. Only exactly these. `BUCKET_ENDPOINT_URL` is always allowed.',
    '-',
  ),

  RESULT_MAX_BYTES: variable(
    'results',
    integer(1024),
    20_000_000,
    'Largest result to post, in bytes of JSON. A larger result fails with a message that says so; the platform would refuse more than about 20 MB.',
  ),
  RESULT_DELIVERY_TIMEOUT_S: variable(
    'results',
    integer(1),
    600,
    'Seconds during which posting a result is retried. Later it stays on disk, and is tried again after the next result that the platform takes, and at the next start.',
  ),
  RESULT_BACKLOG: variable(
    'results',
    integer(1),
    32,
    'Results that may wait to be posted before the worker stops taking jobs.',
  ),
  RESULT_BACKLOG_BYTES: variable(
    'results',
    integer(1024),
    200_000_000,
    'Bytes of results that may wait to be posted before the worker stops taking jobs.',
  ),
  RESULT_SPOOL_DIR: variable(
    'results',
    text,
    () => join(tmpdir(), 'comfyui-worker-results'),
    'Folder for results that could not be posted yet. They are posted after the next result that the platform takes, or at the next start. Must be on a disk that no other worker uses.',
    '`comfyui-worker-results` in the temporary folder',
  ),

  DEADLY_JOB_TTL_S: variable(
    'jobs',
    integer(0),
    3600,
    'Seconds a job is refused after it has killed ComfyUI with each of its attempts. Noted in `RESULT_SPOOL_DIR`, so that the next worker on this disk refuses it as well; `doctor --forget-deadly-jobs` lifts it. 0: such jobs are not refused.',
  ),

  COMFY_URL: variable('comfy', httpUrl, 'http://127.0.0.1:8188', 'URL of ComfyUI.'),
  COMFY_PID_FILE: variable(
    'comfy',
    text,
    '/tmp/comfyui.pid',
    "File with ComfyUI's process id, read only if ComfyUI is on this machine. While that process is alive, the worker waits for a slow start; once it has ended, jobs fail at once.",
  ),
  COMFY_COMMAND: variable(
    'comfy',
    optional(commandLine),
    none,
    'Command that starts ComfyUI at `COMFY_URL`, for example `python /comfyui/main.py`. Split into words like a shell command, but run without a shell. The worker then owns ComfyUI: it starts it, restarts it when it dies, and ends it. Without it, ComfyUI is started by somebody else, and only watched.',
  ),
  COMFY_ARGS: variable(
    'comfy',
    commandLine,
    [],
    'Further arguments for `COMFY_COMMAND`, split in the same way.',
    '-',
  ),
  COMFY_BEFORE_START: variable(
    'comfy',
    optional(commandLine),
    none,
    'Command that must succeed, within an hour, before `COMFY_COMMAND` is started. If it fails, the worker does not start: the platform is told that it is unhealthy, with the last line of the output. The images check the GPU here, and fetch `models.before_start` of the manifest.',
  ),
  COMFY_AFTER_START: variable(
    'comfy',
    optional(commandLine),
    none,
    'Command that runs beside the jobs as soon as the ComfyUI of `COMFY_COMMAND` is up. The images fetch `models.after_start` of the manifest.',
  ),
  COMFY_LOG_LEVEL: variable(
    'comfy',
    LogLevelSchema,
    'info',
    'Level at which the output of a ComfyUI started by `COMFY_COMMAND` appears in the log of the worker; NOTSET: not at all.',
  ),
  NETWORK_VOLUME_DIR: variable(
    'comfy',
    text,
    '/runpod-volume',
    'Folder of a network volume. If it exists, a ComfyUI started by `COMFY_COMMAND` finds models in its `models/<type>` and node packs in its `custom_nodes`.',
  ),
  NETWORK_VOLUME_DEBUG: variable(
    'comfy',
    flag,
    false,
    'Log at the start which models are on the network volume, and which files are probably in the wrong place.',
  ),
  COMFY_UNRESPONSIVE_S: variable(
    'comfy',
    integer(1),
    60,
    'Seconds after which a ComfyUI started by `COMFY_COMMAND` is restarted, if it does not answer and its processes use no processor, read from no disk and send no message; or if a prompt that was given up does not end. Another ComfyUI may be silent for as long when its websocket was lost; then the job fails.',
  ),
  COMFY_MAX_RESTARTS: variable(
    'comfy',
    integer(0),
    5,
    'Restarts of ComfyUI within `COMFY_RESTART_WINDOW_S`. After more, the worker rests until that time has passed, and `COMFY_DOWN_TIMEOUT_S` applies.',
  ),
  COMFY_RESTART_WINDOW_S: variable(
    'comfy',
    integer(1),
    600,
    'Seconds in which restarts are counted for `COMFY_MAX_RESTARTS`.',
  ),
  COMFY_MAX_RSS_MB: variable(
    'comfy',
    optional(integer(1)),
    none,
    'Megabytes of memory of the machine, without pages of files, above which a ComfyUI started by `COMFY_COMMAND` is restarted. The restart waits until no job is in hand, and no more jobs are taken meanwhile. Linux only.',
  ),
  COMFY_RESTART_AFTER_JOBS: variable(
    'comfy',
    optional(integer(1)),
    none,
    'Jobs after which a ComfyUI started by `COMFY_COMMAND` is restarted, in the same way.',
  ),
  COMFY_DOWN_TIMEOUT_S: variable(
    'comfy',
    integer(0),
    60,
    'Seconds ComfyUI may be down. Meanwhile no jobs are taken, and the job in hand waits. Then that job fails. On a queue, its result asks for a fresh worker, or the worker reports itself as unhealthy if it has no job, and exits with code 1. A worker that serves the local API stays, and answers 503.',
  ),
  COMFY_API_AVAILABLE_INTERVAL_MS: variable(
    'comfy',
    integer(1),
    50,
    'Milliseconds between two checks whether ComfyUI answers.',
  ),
  COMFY_API_AVAILABLE_MAX_RETRIES: variable(
    'comfy',
    integer(0),
    0,
    'Checks before the worker gives up. 0: 500 checks without a process id file; with one, as many as fit into `COMFY_STARTUP_TIMEOUT_S`.',
  ),
  COMFY_STARTUP_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    900,
    'Seconds a running ComfyUI process may take until it answers.',
  ),
  COMFY_REQUEST_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    60,
    'Seconds of silence after which a request to ComfyUI fails.',
  ),
  COMFY_TRANSFERS: variable(
    'comfy',
    integer(1, 64),
    4,
    'Parallel uploads, and parallel downloads, of one job.',
  ),
  COMFY_POLL_INTERVAL_S: variable(
    'comfy',
    integer(1),
    5,
    'Seconds of silence on the websocket after which the worker asks queue and history.',
  ),
  COMFY_PING_INTERVAL_S: variable(
    'comfy',
    integer(1),
    10,
    'Seconds between websocket pings. The connection is lost when two are not answered.',
  ),
  COMFY_SILENCE_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    1800,
    'Seconds a running prompt may send nothing before it is interrupted.',
  ),
  WARMUP_WORKFLOW: variable(
    'comfy',
    wordList,
    [],
    'Workflows that run before the first job is taken, and again whenever ComfyUI was started again, so that models are loaded: files or URLs, separated by commas or blanks. Each holds a workflow in either format, or the input of a job. Their outputs are thrown away. The models that they name are read once while ComfyUI starts, so that it finds them in memory.',
    'those of the manifest',
  ),
  WARMUP_REQUIRED: variable(
    'comfy',
    flag,
    false,
    'Whether a warm-up workflow that fails is fatal: ComfyUI counts as down then. It is tried again, and `COMFY_DOWN_TIMEOUT_S` applies. Otherwise the failure is logged, and jobs are taken.',
  ),
  WARMUP_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    600,
    'Seconds that all warm-up workflows together may take. A longer one is interrupted and has failed.',
  ),
  WEBSOCKET_RECONNECT_ATTEMPTS: variable(
    'comfy',
    integer(0),
    5,
    'Attempts to reconnect when the websocket is lost during a job.',
  ),
  WEBSOCKET_RECONNECT_DELAY_S: variable('comfy', integer(0), 3, 'Seconds between those attempts.'),
  WEBSOCKET_TRACE: variable(
    'comfy',
    flag,
    false,
    'Log every websocket frame at level `trace`: text shortened, binary frames by size.',
  ),
  COMFY_ORG_API_KEY: variable(
    'comfy',
    optional(text),
    none,
    'Key for API nodes, for jobs that bring none.',
  ),

  BUCKET_ENDPOINT_URL: variable(
    'bucket',
    optional(httpUrl),
    none,
    'S3 endpoint. If set, files are uploaded and returned as presigned URLs.',
  ),
  BUCKET_ACCESS_KEY_ID: variable(
    'bucket',
    optional(text),
    none,
    'Access key id; required with `BUCKET_ENDPOINT_URL`.',
  ),
  BUCKET_SECRET_ACCESS_KEY: variable(
    'bucket',
    optional(text),
    none,
    'Secret access key; required with `BUCKET_ENDPOINT_URL`.',
  ),
  BUCKET_NAME: variable(
    'bucket',
    optional(text),
    none,
    'Bucket. Without it, the first segment of the path is the month as `MM-YY`, as in the Python worker.',
  ),
  BUCKET_REGION: variable(
    'bucket',
    optional(text),
    none,
    'Region to sign for. Without it, the region in the endpoint, else `AWS_DEFAULT_REGION`, else `AWS_REGION`, else `us-east-1`.',
  ),
  AWS_DEFAULT_REGION: variable(
    'bucket',
    optional(text),
    none,
    'Region to sign for when `BUCKET_REGION` is not set and the endpoint names none.',
  ),
  AWS_REGION: variable('bucket', optional(text), none, 'The same; `AWS_DEFAULT_REGION` wins.'),
  BUCKET_PREFIX: variable(
    'bucket',
    optional(text),
    none,
    'Folder in the bucket. If set, object keys are this folder, the job id and the original file name. `BUCKET_KEY_TEMPLATE` wins.',
  ),
  BUCKET_KEY_TEMPLATE: variable(
    'bucket',
    optional(text),
    none,
    'Object key. Variables: `{job_id}`, `{filename}`, `{name}`, `{ext}`, `{random}` (8 hex digits), `{index}`, `{date}` (YYYY-MM-DD), `{year}`, `{month}`, `{day}`.',
    '`{job_id}/{random}{ext}`; with `BUCKET_PREFIX`, `<prefix>/{job_id}/{filename}`',
  ),
  BUCKET_FORCE_PATH_STYLE: variable(
    'bucket',
    optional(flag),
    none,
    'Put the bucket into the path (true) or into the host name (false).',
    '`true`, unless the endpoint is virtual-hosted',
  ),
  BUCKET_URL_EXPIRES_S: variable(
    'bucket',
    integer(1, 604_800),
    604_800,
    'Seconds a presigned URL is valid.',
  ),

  API_HOST: variable(
    'api',
    optional(text),
    none,
    'Address the local API listens on; `--rp_api_host` wins. Addresses others can reach need `API_KEY` or `API_ALLOW_UNAUTHENTICATED`.',
    '`127.0.0.1`; with `SERVE_API_LOCALLY`, `0.0.0.0`',
  ),
  API_PORT: variable(
    'api',
    integer(0, 65_535),
    8000,
    'Port of the local API; `--rp_api_port` wins. 0: any free port.',
  ),
  API_KEY: variable(
    'api',
    optional(text),
    none,
    'Key that clients of the local API must send, as `Authorization: Bearer <key>` or without `Bearer`.',
  ),
  API_ALLOW_UNAUTHENTICATED: variable(
    'api',
    flag,
    false,
    'Let everybody who can reach the machine use the local API without a key.',
  ),
  SERVE_API_LOCALLY: variable(
    'api',
    flag,
    false,
    'Serve the local API instead of taking jobs from a platform, on all addresses of the container, as the Python worker does. Unlike there, `API_KEY` or `API_ALLOW_UNAUTHENTICATED` must be set.',
  ),
  API_CORS_ORIGIN: variable(
    'api',
    optional(text),
    none,
    'Origins whose pages may call the local API from a browser, separated by commas; `*` is any. None by default.',
  ),
  API_RATE_LIMITS: variable(
    'api',
    flag,
    false,
    "Enforce RunPod's request limits: more requests in ten seconds, or at the same time, are answered 429.",
  ),
  API_RUN_MAX_BYTES: variable(
    'api',
    integer(1024),
    10 * 1024 * 1024,
    'Largest body of `/run`, in bytes. A larger one is answered 413.',
  ),
  API_RUNSYNC_MAX_BYTES: variable(
    'api',
    integer(1024),
    20 * 1024 * 1024,
    'Largest body of `/runsync`, in bytes. A larger one is answered 413.',
  ),
  API_RUN_RETENTION_S: variable(
    'api',
    integer(1),
    1800,
    'Seconds a job of `/run` is kept after its end.',
  ),
  API_RUNSYNC_RETENTION_S: variable(
    'api',
    integer(1),
    60,
    'Seconds a job of `/runsync` is kept after its end. A longer `wait` extends it, up to 300.',
  ),
  API_QUEUE_CAPACITY: variable(
    'api',
    integer(1),
    1000,
    'Jobs that may wait or run at the same time. More are answered 429.',
  ),
  API_MAX_RECORDS: variable(
    'api',
    integer(1),
    10_000,
    'Ended jobs that are kept. The oldest is removed first.',
  ),
  API_MAX_RECORD_BYTES: variable(
    'api',
    integer(1024),
    500_000_000,
    'Bytes of inputs and outputs kept in memory. Above it, the outputs of the oldest ended jobs are removed; if that is not enough, new jobs are answered 429.',
  ),
  API_WEBHOOK_ALLOW_PRIVATE: variable(
    'api',
    flag,
    false,
    'Allow webhooks to addresses on private networks, including this machine.',
  ),

  RUNPOD_LOG_LEVEL: variable(
    'log',
    optional(LogLevelSchema),
    none,
    'TRACE, DEBUG, INFO, WARN, ERROR or NOTSET; `--rp_log_level` wins.',
    '`RUNPOD_DEBUG_LEVEL`',
  ),
  RUNPOD_DEBUG_LEVEL: variable(
    'log',
    LogLevelSchema,
    'info',
    'Log level if `RUNPOD_LOG_LEVEL` is not set.',
  ),
};

type Variables = typeof VARIABLES;
export type Config = {
  readonly [K in keyof Variables]: Variables[K] extends Variable<infer T> ? T : never;
};

/**
 * Reads all variables.
 * @throws WorkerError `config.invalid`, with a line in `details` for each variable that does not parse.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values = Object.entries(VARIABLES).map(([name, declared]) => {
    const sent = environment[name]?.trim();
    if (sent === undefined || sent === '') {
      const { default: value } = declared;
      return [name, typeof value === 'function' ? value() : value];
    }
    const parsed = declared.schema.safeParse(sent);
    if (!parsed.success) {
      const messages = parsed.error.issues.map(({ message }) => message).join(', ');
      const shown = isSecret(name) ? 'a value that is not shown' : JSON.stringify(sent);
      problems.push(`${name} ${messages}, got ${shown}`);
    }
    return [name, parsed.data];
  });
  if (problems.length > 0) throw invalidConfig(problems);
  return Object.fromEntries(values) as Config;
}

/** Whether the value of this variable must not be shown. */
export function isSecret(name: string): boolean {
  return /KEY|SECRET|TOKEN|CREDENTIALS/.test(name);
}

/** One error for all problems of the configuration. */
export function invalidConfig(problems: readonly string[]): WorkerError {
  return new WorkerError(
    'config.invalid',
    `The configuration is not usable:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    { details: problems },
  );
}
