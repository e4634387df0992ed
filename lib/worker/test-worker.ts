import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleepOn, type Cancel, type Clock } from '../clock.ts';
import { createLog, type Logger } from '../log.ts';
import { Notifier } from '../waiting.ts';
import {
  toJobError,
  type Handler,
  type Job,
  type JobContext,
  type JobQueue,
} from '../queues/queue.ts';
import { createRunpodQueue, type RunpodQueueOptions } from '../queues/runpod/runpod-queue.ts';
import { startWorker, type Worker, type WorkerOptions } from './worker.ts';

/** Shared by the tests of the worker: a worker on real sockets, whose log is checked. */

type Environment = Readonly<Record<string, string | undefined>>;

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly requestId: string | null;
  readonly [field: string]: unknown;
}

/** A list that a test can wait on. */
export class Events<T> {
  readonly all: T[] = [];
  readonly #added = new Notifier();

  add(event: T): void {
    this.all.push(event);
    this.#added.notify();
  }

  /** The first event that matches; waits for it if it has not come yet. */
  async first(matches: (event: T) => boolean): Promise<T> {
    for (;;) {
      const found = this.all.find(matches);
      if (found !== undefined) return found;
      await this.#added.notified();
    }
  }

  async count(count: number): Promise<void> {
    while (this.all.length < count) await this.#added.notified();
  }
}

/** A handler whose jobs end when the test says so. */
export class Gate {
  readonly started = new Events<string>();
  readonly #open = new Map<string, (output: unknown) => void>();

  readonly handler = (job: Job) =>
    new Promise((resolve) => {
      this.#open.set(job.jobId, resolve);
      this.started.add(job.jobId);
    });

  /** Ends the job; waits until it has started. */
  async finish(jobId: string, output: unknown = 'done'): Promise<void> {
    await this.started.first((started) => started === jobId);
    this.#open.get(jobId)?.(output);
  }
}

/** A test's handler: its value is the output of the job, and an `error` in that value is the error of the job. */
export type TestHandler = (job: Job, context: JobContext) => unknown;

export function toHandler(handler: TestHandler): Handler {
  return async (job, context) => {
    const value: unknown = await handler(job, context);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return { output: value ?? null };
    }
    const { error, ...output } = value as { readonly error?: unknown };
    const text = typeof error === 'string' ? error : JSON.stringify(error);
    return {
      ...(Object.keys(output).length > 0 && { output }),
      ...(error !== undefined && { error: toJobError('comfy.execution_failed', text) }),
    };
  };
}

/** A log that remembers its lines. */
export async function createTestLog(): Promise<{ log: Logger; lines: Events<LogLine> }> {
  const lines = new Events<LogLine>();
  const write = (line: string) => lines.add(JSON.parse(line) as LogLine);
  const log = await createLog({ level: 'debug', format: 'json', destination: { write } });
  return { log, lines };
}

/** The settings a queue reads from the platform's environment. */
export function queueSettings(environment: Environment): Omit<RunpodQueueOptions, 'log'> {
  const text = (name: string) => environment[name] ?? '';
  return {
    getJobUrl: text('RUNPOD_WEBHOOK_GET_JOB'),
    postOutputUrl: text('RUNPOD_WEBHOOK_POST_OUTPUT'),
    apiKey: text('RUNPOD_AI_API_KEY'),
    podId: text('RUNPOD_POD_ID'),
  };
}

export interface TestWorkerOptions extends Partial<Omit<WorkerOptions, 'posting' | 'handler'>> {
  readonly handler: TestHandler;
  readonly posting?: Partial<WorkerOptions['posting']>;
  readonly queueOptions?: Partial<RunpodQueueOptions>;
  /** ERROR messages that the test expects; any other one fails it. */
  readonly expectedErrors?: readonly string[];
}

export class TestWorker implements AsyncDisposable {
  readonly worker: Worker;
  readonly lines: Events<LogLine>;
  readonly spoolDir: string;
  readonly #queue: JobQueue & AsyncDisposable;
  readonly #options: TestWorkerOptions;

  private constructor(
    environment: Environment,
    options: TestWorkerOptions & { log: Logger; lines: Events<LogLine>; spoolDir: string },
  ) {
    const { log, lines, spoolDir } = options;
    this.#options = options;
    this.lines = lines;
    this.spoolDir = spoolDir;
    this.#queue = createRunpodQueue({
      ...queueSettings(environment),
      log,
      ...options.queueOptions,
    });
    this.worker = startWorker({
      queue: this.#queue,
      slots: 1,
      progressIntervalMs: 1000,
      maxResultBytes: 20_000_000,
      ...options,
      handler: toHandler(options.handler),
      posting: { ...POSTING, spoolDir, ...options.posting },
    });
  }

  static async start(environment: Environment, options: TestWorkerOptions): Promise<TestWorker> {
    const { log, lines } = await createTestLog();
    const spoolDir = await mkdtemp(join(tmpdir(), 'worker-test-'));
    return new TestWorker(environment, { ...options, log, lines, spoolDir });
  }

  messages(level: string): string[] {
    return this.lines.all.filter((line) => line.level === level).map((line) => line.message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.worker[Symbol.asyncDispose]();
    await this.#queue[Symbol.asyncDispose]();
    await rm(this.spoolDir, { recursive: true, force: true });
    const expected = this.#options.expectedErrors ?? [];
    const unexpected = this.messages('ERROR').filter((message) => !expected.includes(message));
    if (unexpected.length > 0)
      throw new Error(`Unexpected errors were logged: ${unexpected.join('; ')}`);
  }
}

const POSTING = { timeoutMs: 60_000, backlog: 32, backlogBytes: 200_000_000, drainMs: 5000 };

/** A clock whose timers fire at once: each moves the clock forward and is recorded. For tests about the length of delays. */
export class InstantClock implements Clock {
  readonly pauses: number[] = [];
  #now = 0;

  now(): number {
    return this.#now;
  }

  wallTime(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): Cancel {
    const turn = setImmediate(() => {
      this.pauses.push(ms);
      this.#now += ms;
      callback();
    });
    return () => clearImmediate(turn);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return sleepOn(this, ms, signal);
  }
}
