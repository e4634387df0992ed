import type { Config } from '../config.ts';
import type { JsonBody } from '../json-body.ts';
import type { Job } from '../queues/queue.ts';
import type { EncodedResult } from '../queues/queue.ts';
import type { Storage } from '../storage/storage.ts';

/** What the commands need of the worker as a whole. Nothing heavy is loaded before it is called. */
export interface CliParts {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** What happens without a command; resolves to the exit code. */
  start(args: readonly string[]): Promise<number>;
  /** Serves the local API until told to stop; resolves to the exit code. */
  serve(options: ServeOptions): Promise<number>;
  /** Runs one job in this process. When its signal aborts, the prompt is interrupted before this rejects with the reason. */
  runJob(job: Job, options: RunJobOptions): Promise<LocalRun>;
  /** The bucket of the settings; undefined when results go back inline. */
  openStorage(config: Config): Promise<Storage | undefined>;
}

export interface ServeOptions {
  /** Undefined: what the environment says. */
  readonly port?: number;
  readonly host?: string;
  /** The embedded ComfyUI stands behind it. */
  readonly simulate: boolean;
}

export interface RunJobOptions {
  /** In the embedded ComfyUI, rather than the one at `COMFY_URL`. */
  readonly simulate: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (progress: JsonBody) => void;
}

export interface LocalRun {
  readonly result: EncodedResult;
  /** Milliseconds by phase; absent when the job did not get to its end. */
  readonly timings?: Readonly<Record<string, number>>;
}
