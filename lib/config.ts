import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { WorkerError } from './errors.ts';

/**
 * Every environment variable, once: how it is read, what it is when absent, and what it does.
 * `docs/configuration.md` is written from this table. A variable set to the empty string counts as absent;
 * blanks and line breaks around a value, as secrets read from files have them, do not belong to it.
 */
interface Variable<T> {
  /** Reads the text of the variable. Throws (zod) when it does not parse. */
  readonly schema: z.ZodType<T, string>;
  /** The value when absent; a function where it differs from process to process. */
  readonly absent: T | (() => T);
  /** The default as documentation shows it, where `absent` does not say it. */
  readonly shown?: string;
  readonly group: Group;
  readonly about: string;
}

export type Group =
  'platform' | 'jobs' | 'inputs' | 'outputs' | 'results' | 'comfy' | 'bucket' | 'api' | 'log';

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

const hostList = z
  .string()
  .transform((value) => value.split(',').map((host) => host.trim().toLowerCase()))
  .pipe(z.array(z.string().regex(/^[^\s/@]+:\d+$/, 'must be host:port, separated by commas')));

/** A level by the names the Python SDK knows. */
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
const maybe = <T>(schema: z.ZodType<T, string>): z.ZodType<T | undefined, string> => schema;

const variable = <T>(
  group: Group,
  schema: z.ZodType<T, string>,
  absent: T | (() => T),
  about: string,
  shown?: string,
): Variable<T> => ({
  group,
  schema,
  absent,
  about,
  ...(shown === undefined ? {} : { shown }),
});

export const VARIABLES = {
  RUNPOD_WEBHOOK_GET_JOB: variable(
    'platform',
    maybe(httpUrl),
    none,
    'Where jobs are taken; set by the platform. `$ID` and `$RUNPOD_POD_ID` stand for the worker id. Absent: one local job is run (`--test_input` or `test_input.json`).',
  ),
  RUNPOD_WEBHOOK_POST_OUTPUT: variable(
    'platform',
    maybe(httpUrl),
    none,
    'Where results and progress are posted; set by the platform. `$RUNPOD_POD_ID` stands for the worker id, `$ID` for the job id.',
  ),
  RUNPOD_WEBHOOK_POST_STREAM: variable(
    'platform',
    maybe(httpUrl),
    none,
    'Where chunks of a streaming handler are posted; set by the platform.',
  ),
  RUNPOD_WEBHOOK_JOB_STREAM: variable(
    'platform',
    maybe(httpUrl),
    none,
    'Another name some platforms use for `RUNPOD_WEBHOOK_POST_STREAM`.',
  ),
  RUNPOD_WEBHOOK_PING: variable(
    'platform',
    maybe(text),
    none,
    'Where the heartbeat goes; set by the platform. `PING_NOT_SET` means none.',
  ),
  RUNPOD_PING_INTERVAL: variable(
    'platform',
    integer(0).transform((ms) => Math.max(ms, 1000)),
    10_000,
    'Milliseconds between heartbeats; less than 1000 counts as 1000.',
  ),
  RUNPOD_AI_API_KEY: variable(
    'platform',
    maybe(text),
    none,
    'Key for the platform; sent as it is, without `Bearer`. Without it no heartbeat is sent.',
  ),
  RUNPOD_POD_ID: variable(
    'platform',
    maybe(text),
    none,
    'Id of this worker. Without it no heartbeat is sent, and jobs are taken under a random one.',
  ),
  RUNPOD_POD_HOSTNAME: variable('platform', text, 'unknown', 'Host name told in error reports.'),
  RUNPOD_ENDPOINT_ID: variable(
    'platform',
    maybe(text),
    none,
    'Set by the platform; turns on JSON log lines.',
  ),
  RUNPOD_GPU_TYPE_ID: variable(
    'platform',
    maybe(text),
    none,
    'Stands in for `$RUNPOD_GPU_TYPE_ID` in the URLs above.',
  ),
  RUNPOD_UA_INTEGRATION: variable(
    'platform',
    maybe(text),
    none,
    'Added to the User-Agent as `Integration/<value>`.',
  ),

  JOB_CONCURRENCY: variable(
    'jobs',
    integer(1, 100),
    1,
    'Prompts given to ComfyUI at once. ComfyUI itself runs one at a time; more helps graphs that wait for remote APIs.',
  ),
  JOB_PREFETCH: variable(
    'jobs',
    integer(0, 100),
    0,
    'Further jobs taken, staged and queued in ComfyUI behind the running one, so that the GPU never waits. They can no longer go to another worker.',
  ),
  JOB_TIMEOUT_S: variable(
    'jobs',
    integer(1),
    86_400,
    'Seconds a job may take; `policy.executionTimeout` of a job counts when it is shorter.',
  ),
  PROGRESS_INTERVAL_MS: variable(
    'jobs',
    integer(0),
    1000,
    'Least milliseconds between two progress posts of a job; 0 turns progress off.',
  ),
  REFRESH_WORKER: variable(
    'jobs',
    flag,
    false,
    'Ask the platform for a fresh worker after every job, and exit. Jobs then run one at a time, whatever `JOB_CONCURRENCY` and `JOB_PREFETCH` say.',
  ),
  HEARTBEAT_STUCK_S: variable(
    'jobs',
    integer(5),
    300,
    'Seconds the main thread may be stuck before the heartbeat stops vouching for it.',
  ),

  DOWNLOAD_MAX_BYTES: variable(
    'inputs',
    integer(1),
    4_294_967_296,
    'Largest file that is fetched from a URL, in bytes.',
  ),
  DOWNLOAD_TIMEOUT_S: variable(
    'inputs',
    integer(1),
    600,
    'Seconds one file may take to be fetched, with all tries.',
  ),
  DOWNLOAD_IDLE_TIMEOUT_S: variable(
    'inputs',
    integer(1),
    30,
    'Seconds a server may be silent before the download is tried again.',
  ),
  DOWNLOAD_RETRIES: variable(
    'inputs',
    integer(0, 20),
    4,
    'Further tries after one that brought nothing. A try that brought something is continued where it broke off, and does not count.',
  ),
  DOWNLOAD_ALLOW_PRIVATE: variable(
    'inputs',
    hostList,
    [],
    'Servers that may be fetched from although their addresses are not public: `host:port`, separated by commas. Each stands for itself alone.',
    '-',
  ),
  INPUT_MAX_IMAGE_BYTES: variable(
    'inputs',
    integer(1),
    52_428_800,
    'Largest input image, in bytes. Files that are no images are not bound by it.',
  ),
  INPUT_MAX_IMAGE_EDGE: variable(
    'inputs',
    integer(1),
    16_384,
    'Widest or highest input image, in pixels.',
  ),
  INPUT_MAX_IMAGE_PIXELS: variable(
    'inputs',
    integer(1),
    67_108_864,
    'Largest input image, in pixels; of an animation, one frame.',
  ),
  INPUT_MAX_ANIMATION_PIXELS: variable(
    'inputs',
    integer(1),
    536_870_912,
    'Largest animation, in pixels of all its frames: ComfyUI decodes them all at once.',
  ),
  COMFY_INPUT_DIR: variable(
    'inputs',
    maybe(text),
    none,
    "ComfyUI's input folder, where files go that are too large to upload. Only used when ComfyUI turns out to see it too.",
    'found by asking ComfyUI',
  ),

  PREFLIGHT: variable(
    'inputs',
    z
      .string()
      .transform((value) => value.trim().toLowerCase())
      .pipe(z.enum(['auto', 'off'], 'must be auto or off')),
    'auto',
    '`auto`: a workflow that ComfyUI is certain to refuse, or would die of, is refused before it is submitted, with all that is wrong. `off`: ComfyUI alone judges.',
  ),
  WORKFLOWS_DIR: variable(
    'inputs',
    maybe(text),
    none,
    'Folder of workflows that jobs may call by name: `name.json`, or a module `name.ts`, `name.js` or `name.mjs` that makes one.',
  ),

  CONVERT_SIDE_BY_SIDE: variable(
    'outputs',
    integer(1, 64),
    () => Math.min(availableParallelism(), 3),
    'Pictures converted at once (`output.convert`), of all jobs together. More than 3 only help when `UV_THREADPOOL_SIZE`, 4 by default, is larger still: one of those threads is for files and names.',
    'as many as there are cores, at most 3',
  ),
  CONVERT_MAX_BYTES: variable(
    'outputs',
    integer(1),
    67_108_864,
    'Largest picture that is converted, in bytes; a larger one comes as it was, with an entry in `errors`.',
  ),
  CONVERT_MAX_PIXELS: variable(
    'outputs',
    integer(1),
    134_217_728,
    'Largest picture that is converted, in pixels of all its frames.',
  ),
  CONVERT_TIMEOUT_S: variable(
    'outputs',
    integer(1),
    120,
    'Seconds the conversion of one picture may take.',
  ),

  CLEANUP: variable(
    'outputs',
    z
      .string()
      .transform((value) => value.trim().toLowerCase())
      .pipe(z.enum(['auto', 'always', 'never'], 'must be auto, always or never')),
    'auto',
    "Whether the files of a job are removed from ComfyUI's input and output folders when it has ended. For this, a job saves into a folder of its own. `auto`: where this worker sees those folders, unless they lie on a network volume. `always`: there too, and a job fails when they are not seen. `never`: workflows and folders are left as they are.",
  ),
  COMFY_OUTPUT_DIR: variable(
    'outputs',
    maybe(text),
    none,
    "ComfyUI's output folder, where the files of ended jobs are removed. Only used when ComfyUI turns out to see it too.",
    'found by asking ComfyUI',
  ),

  OUTPUT_VOLUME_DIR: variable(
    'outputs',
    text,
    '/runpod-volume/outputs',
    'Folder on a network volume for files that are delivered there (`output.delivery` `volume` or `auto`); each job gets a folder in it. Only used when it, or the folder it is to be in, is there.',
  ),
  UPLOAD_ALLOW_PRIVATE: variable(
    'outputs',
    hostList,
    [],
    'Servers that jobs may have files uploaded to although their addresses are not public: `host:port`, separated by commas. Each stands for itself alone. The bucket of `BUCKET_ENDPOINT_URL` needs no leave.',
    '-',
  ),

  RESULT_MAX_BYTES: variable(
    'results',
    integer(1024),
    20_000_000,
    'Largest result that is posted, in bytes of JSON. The platform refuses more than about 20 MB; a larger result fails with a message that says so.',
  ),
  RESULT_DELIVERY_TIMEOUT_S: variable(
    'results',
    integer(1),
    600,
    'Seconds during which posting a result is tried again.',
  ),
  RESULT_BACKLOG: variable(
    'results',
    integer(1),
    32,
    'Results that may wait to be posted before taking jobs pauses.',
  ),
  RESULT_BACKLOG_BYTES: variable(
    'results',
    integer(1024),
    200_000_000,
    'Bytes of results that may wait to be posted before taking jobs pauses.',
  ),
  RESULT_SPOOL_DIR: variable(
    'results',
    text,
    () => join(tmpdir(), 'comfyui-worker-results'),
    'Folder for results that could not be posted yet; they are posted at the next start. Keep it on a disk of this worker alone.',
    '`comfyui-worker-results` in the temporary folder',
  ),

  COMFY_URL: variable('comfy', httpUrl, 'http://127.0.0.1:8188', 'Where ComfyUI listens.'),
  COMFY_PID_FILE: variable(
    'comfy',
    text,
    '/tmp/comfyui.pid',
    "File with ComfyUI's process id. Present and alive: a slow start is waited for. Present and gone: the job fails at once. Only read when ComfyUI is on this machine.",
  ),
  COMFY_API_AVAILABLE_INTERVAL_MS: variable(
    'comfy',
    integer(1),
    50,
    'Milliseconds between two looks whether ComfyUI answers.',
  ),
  COMFY_API_AVAILABLE_MAX_RETRIES: variable(
    'comfy',
    integer(0),
    0,
    'Looks before giving up. 0: 500 looks without a process file; with one, as many as fit into `COMFY_STARTUP_TIMEOUT_S`.',
  ),
  COMFY_STARTUP_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    900,
    'Seconds a living ComfyUI process may take to answer.',
  ),
  COMFY_REQUEST_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    60,
    'Seconds of silence after which a request to ComfyUI is given up.',
  ),
  COMFY_TRANSFERS: variable(
    'comfy',
    integer(1, 64),
    4,
    'Uploads, or downloads, that run side by side for a job.',
  ),
  COMFY_POLL_INTERVAL_S: variable(
    'comfy',
    integer(1),
    5,
    'Seconds of silence on the websocket after which queue and history are asked.',
  ),
  COMFY_PING_INTERVAL_S: variable(
    'comfy',
    integer(1),
    10,
    'Seconds between websocket pings; two without an answer count as a lost connection.',
  ),
  COMFY_SILENCE_TIMEOUT_S: variable(
    'comfy',
    integer(1),
    1800,
    'Seconds a running prompt may send nothing at all before it is interrupted.',
  ),
  WEBSOCKET_RECONNECT_ATTEMPTS: variable(
    'comfy',
    integer(0),
    5,
    'Tries to reconnect after the websocket was lost during a job.',
  ),
  WEBSOCKET_RECONNECT_DELAY_S: variable('comfy', integer(0), 3, 'Seconds between those tries.'),
  WEBSOCKET_TRACE: variable(
    'comfy',
    flag,
    false,
    'Log every websocket frame (text shortened, binary by size) at level trace.',
  ),
  COMFY_ORG_API_KEY: variable(
    'comfy',
    maybe(text),
    none,
    'Key for API nodes, used when the job brings none.',
  ),

  BUCKET_ENDPOINT_URL: variable(
    'bucket',
    maybe(httpUrl),
    none,
    'S3 endpoint. Set: images are uploaded and returned as presigned URLs.',
  ),
  BUCKET_ACCESS_KEY_ID: variable(
    'bucket',
    maybe(text),
    none,
    'Access key id; required with `BUCKET_ENDPOINT_URL`.',
  ),
  BUCKET_SECRET_ACCESS_KEY: variable(
    'bucket',
    maybe(text),
    none,
    'Secret key; required with `BUCKET_ENDPOINT_URL`.',
  ),
  BUCKET_NAME: variable(
    'bucket',
    maybe(text),
    none,
    'Bucket. Without it, the first path part is the month as `MM-YY`, as the Python worker does.',
  ),
  BUCKET_REGION: variable(
    'bucket',
    maybe(text),
    none,
    'Region to sign for; read from the endpoint when absent, else `us-east-1`.',
  ),
  BUCKET_KEY_TEMPLATE: variable(
    'bucket',
    text,
    '{job_id}/{random}{ext}',
    'Object key. Knows `{job_id}`, `{filename}`, `{name}`, `{ext}`, `{random}` (8 hex digits), `{index}`, `{date}` (YYYY-MM-DD), `{year}`, `{month}`, `{day}`.',
  ),
  BUCKET_FORCE_PATH_STYLE: variable(
    'bucket',
    maybe(flag),
    none,
    'Bucket in the path (true) or in the host name (false).',
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
    maybe(text),
    none,
    'Where the local API listens. `--rp_api_host` wins over it. Beyond this machine only with `API_KEY`, or with `API_ALLOW_UNAUTHENTICATED`.',
    '`127.0.0.1`; with `SERVE_API_LOCALLY`, `0.0.0.0`',
  ),
  API_PORT: variable(
    'api',
    integer(0, 65_535),
    8000,
    'Port of the local API; 0 is any that is free. `--rp_api_port` wins over it.',
  ),
  API_KEY: variable(
    'api',
    maybe(text),
    none,
    'What clients of the local API must send as `Authorization: Bearer <key>`, or as the key alone.',
  ),
  API_ALLOW_UNAUTHENTICATED: variable(
    'api',
    flag,
    false,
    'Let everybody who reaches the machine use the local API, without a key.',
  ),
  SERVE_API_LOCALLY: variable(
    'api',
    flag,
    false,
    'Serve the local API instead of taking jobs from a platform, on all addresses of the container as the Python worker did. Unlike there, `API_KEY` (or `API_ALLOW_UNAUTHENTICATED`) must then be set.',
  ),
  API_CORS_ORIGIN: variable(
    'api',
    maybe(text),
    none,
    'Origins, separated by commas, whose pages may call the local API from a browser; `*` is any. None when absent.',
  ),
  API_RATE_LIMITS: variable(
    'api',
    flag,
    false,
    "Keep to RunPod's request limits: more in ten seconds, or at once, are answered 429.",
  ),
  API_RUN_MAX_BYTES: variable(
    'api',
    integer(1024),
    10 * 1024 * 1024,
    'Largest body of `/run`; a larger one is answered 413.',
  ),
  API_RUNSYNC_MAX_BYTES: variable(
    'api',
    integer(1024),
    20 * 1024 * 1024,
    'Largest body of `/runsync`.',
  ),
  API_RUN_RETENTION_S: variable(
    'api',
    integer(1),
    1800,
    'Seconds a job of `/run` can be asked for after its end.',
  ),
  API_RUNSYNC_RETENTION_S: variable(
    'api',
    integer(1),
    60,
    'Seconds a job of `/runsync` can be asked for after its end; longer when its `wait` was longer, up to 300.',
  ),
  API_QUEUE_CAPACITY: variable(
    'api',
    integer(1),
    1000,
    'Jobs that may wait or run at once; more are answered 429.',
  ),
  API_MAX_RECORDS: variable(
    'api',
    integer(1),
    10_000,
    'Ended jobs that are remembered; the oldest is forgotten first.',
  ),
  API_MAX_RECORD_BYTES: variable(
    'api',
    integer(1024),
    500_000_000,
    'Inputs and outputs kept in memory. Beyond it the outputs of the oldest ended jobs are dropped, and new jobs are answered 429 when that is not enough.',
  ),
  API_WEBHOOK_ALLOW_PRIVATE: variable(
    'api',
    flag,
    false,
    'Let webhooks go to addresses on private networks, this machine included.',
  ),

  RUNPOD_LOG_LEVEL: variable(
    'log',
    maybe(LogLevelSchema),
    none,
    'TRACE, DEBUG, INFO, WARN, ERROR or NOTSET; `--rp_log_level` wins over it.',
    '`RUNPOD_DEBUG_LEVEL`',
  ),
  RUNPOD_DEBUG_LEVEL: variable(
    'log',
    LogLevelSchema,
    'info',
    'Used when `RUNPOD_LOG_LEVEL` is absent.',
  ),
};

type Variables = typeof VARIABLES;
export type Config = {
  readonly [K in keyof Variables]: Variables[K] extends Variable<infer T> ? T : never;
};

/**
 * Reads the whole environment at once.
 * @throws WorkerError `config.invalid`, with one line in `details` per variable that does not parse.
 */
export function readConfig(environment: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const values = Object.entries(VARIABLES).map(([name, declared]) => {
    const sent = environment[name]?.trim();
    if (sent === undefined || sent === '') return [name, valueWhenAbsent(declared)];
    const parsed = declared.schema.safeParse(sent);
    if (!parsed.success)
      problems.push(
        `${name} ${parsed.error.issues.map((issue) => issue.message).join(', ')}, got ${shown(name, sent)}`,
      );
    return [name, parsed.data];
  });
  if (problems.length > 0) throw invalidConfig(problems);
  return Object.fromEntries(values) as Config;
}

/** One error for any number of problems with the settings. */
export function invalidConfig(problems: readonly string[]): WorkerError {
  return new WorkerError(
    'config.invalid',
    `The configuration is not usable:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
    { details: problems },
  );
}

function valueWhenAbsent(declared: Variables[keyof Variables]): unknown {
  return typeof declared.absent === 'function' ? declared.absent() : declared.absent;
}

/** Values of secrets stay out of messages. */
function shown(name: string, value: string): string {
  return /KEY|SECRET|TOKEN/.test(name) ? 'a value that is not shown' : JSON.stringify(value);
}
