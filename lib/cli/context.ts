import type { Config } from '../config.ts';
import type { JsonBody } from '../json-body.ts';
import type { EncodedResult, Job } from '../queues/queue.ts';
import type { Storage } from '../storage/storage.ts';
import type { BackendAbilities, DeadlyJobList } from './doctor/check.ts';

/** The worker, as the commands use it. Nothing heavy is loaded before a method is called. */
export interface CliContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The kind of ComfyUI that jobs are run on. */
  readonly backend: BackendAbilities;
  /** Starts the worker, as without a command; resolves to the exit code. */
  start(args: readonly string[]): Promise<number>;
  /** Serves the local API until told to stop; resolves to the exit code. */
  serve(options: ServeOptions): Promise<number>;
  /** Serves the embedded ComfyUI alone until told to stop; resolves to the exit code. */
  comfy(options: ComfyOptions): Promise<number>;
  /** Runs one job in this process. When its signal aborts, the prompt is interrupted before this rejects with the reason. */
  runJob(job: Job, options: RunJobOptions): Promise<LocalRun>;
  /** The jobs that are refused because they killed ComfyUI. */
  deadlyJobs(config: Config): DeadlyJobList;
  /** Bytes of memory that the ComfyUI of `COMFY_PID_FILE` holds; undefined when it is not known. */
  comfyMemory(config: Config): Promise<number | undefined>;
  /** The bucket of the `BUCKET_*` variables; undefined when results are returned inline. */
  openWorkerBucket(config: Config): Promise<Storage | undefined>;
}

export interface ServeOptions {
  /** Default: API_PORT and API_HOST. */
  readonly port?: number;
  readonly host?: string;
  /** Uses the embedded ComfyUI. */
  readonly simulate: boolean;
}

export interface ComfyOptions {
  /** Default: 127.0.0.1 and 8188, as ComfyUI. */
  readonly host?: string;
  readonly port?: number;
  /** Folder with the build of ComfyUI's editor. */
  readonly frontEndRoot?: string;
  /** Parent of its `input`, `output`, `temp` and `user`. Default: a temporary folder. */
  readonly folder?: string;
  /** The ComfyUI version whose protocol is spoken. Default: the newest. */
  readonly version?: '0.8.0' | '0.33.0';
}

interface RunJobOptions {
  /** Uses the embedded ComfyUI instead of the one at `COMFY_URL`. */
  readonly simulate: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: JsonBody) => void;
}

export interface LocalRun {
  readonly result: EncodedResult;
  /** Milliseconds by phase; absent when the job failed early. */
  readonly timings?: Readonly<Record<string, number>>;
}

/** Options of both `run` and `submit`. */
export interface JobOptions {
  readonly image?: readonly string[];
  readonly set?: readonly string[];
  readonly out: string;
  readonly json?: true;
  readonly quiet?: true;
  /** Seconds. */
  readonly timeout: number;
}
