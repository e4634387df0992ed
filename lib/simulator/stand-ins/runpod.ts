import type { IncomingMessage, ServerResponse } from 'node:http';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describeError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import {
  RequestFaults,
  Reply,
  receive,
  toRecord,
  type RecordedRequest,
} from './runpod/requests.ts';
import { Jobs, type SimulatedJob, type Violation } from './runpod/jobs.ts';
import { Listener } from './listener.ts';
import { cancelJob, answer, Stops, type Exchange, type Platform } from './runpod/routes.ts';
import { Waits } from './runpod/waits.ts';

export interface RunpodSimulatorOptions {
  /** How long a poll for jobs is held before 204. RunPod's own time is unknown; workers give up after 90 s. */
  readonly takeHoldMs?: number;
  readonly stopHoldMs?: number;
  /** `RUNPOD_PING_INTERVAL` for the worker. */
  readonly pingIntervalMs?: number;
  /** False keeps only the sizes of bodies, for runs of thousands of jobs. */
  readonly keepBodies?: boolean;
  /** Timeout of `nextTake`, `result` and the like. */
  readonly waitMs?: number;
}

type Matches = (request: RecordedRequest) => boolean;

/**
 * A stand-in for RunPod's control plane over real HTTP: the worker routes as the Python SDK 1.12 uses them, and the
 * client routes run, runsync, status, status-sync, cancel and health as npm `runpod-sdk` uses them.
 *
 * Approximate: how long polls are held, response bodies to posts, and cancelling. Left out: job expiry, execution
 * timeouts, reassigning the jobs of a silent worker, webhooks, and streams.
 */
export interface RunpodSimulator extends AsyncDisposable {
  readonly url: string;
  readonly endpointId: string;
  /** The environment variables RunPod sets for a worker. Override the ids for a second worker. */
  readonly env: Readonly<Record<string, string>>;

  /** Queues a job and returns its id. `extras` are further members of the job object, such as its `id`. */
  submit(input: unknown, extras?: Readonly<Record<string, unknown>>): string;
  /** Queues a job object exactly as written, with its own `id`. */
  submitText(jobText: string): string;
  job(jobId: string): SimulatedJob | undefined;
  /** The request that ended the job: its first job-done that is not progress. */
  result(jobId: string): Promise<RecordedRequest>;
  /** Cancels a job. The worker that has it learns of it through its stop channel. */
  stopJob(jobId: string): void;

  /** Requests in order of arrival. Takes include both kinds; posts are results and progress. */
  readonly takes: readonly RecordedRequest[];
  readonly posts: readonly RecordedRequest[];
  readonly pings: readonly RecordedRequest[];
  readonly stops: readonly RecordedRequest[];
  /** Protocol violations of workers: two different results for one job, progress after a result, and the like. */
  readonly violations: readonly Violation[];

  /** The next matching request that arrives after this call. */
  nextTake(matches?: Matches): Promise<RecordedRequest>;
  nextPost(matches?: Matches): Promise<RecordedRequest>;
  nextPing(matches?: Matches): Promise<RecordedRequest>;
  nextStop(matches?: Matches): Promise<RecordedRequest>;
  /** Resolves when `holds` returns true; it is checked now and after every request and answer. */
  until(holds: () => boolean): Promise<void>;

  readonly faults: RequestFaults;
  /** Closes all connections and refuses new ones until {@link up}. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export async function startRunpodSimulator(
  options: RunpodSimulatorOptions = {},
): Promise<RunpodSimulator> {
  const platform = new Simulator(options);
  await platform.start();
  return platform;
}

class Simulator implements RunpodSimulator {
  readonly endpointId = 'simulated';
  readonly faults = new RequestFaults();
  readonly takes: RecordedRequest[] = [];
  readonly posts: RecordedRequest[] = [];
  readonly pings: RecordedRequest[] = [];
  readonly stops: RecordedRequest[] = [];
  readonly #jobs = new Jobs();
  readonly #waits: Waits;
  readonly #options: Required<RunpodSimulatorOptions>;
  readonly #platform: Platform;
  readonly #apiKey = `rpa_${randomUUID()}`;
  #listener!: Listener;

  constructor(options: RunpodSimulatorOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#waits = new Waits(this.#options.waitMs);
    this.#platform = { jobs: this.#jobs, stops: new Stops(), ...this.#options };
  }

  async start(): Promise<void> {
    this.#listener = await Listener.start((message, response) => {
      this.#answer(message, response).catch((error: unknown) => {
        if (response.headersSent || response.destroyed) response.destroy();
        else response.writeHead(500).end(describeError(error));
      });
    });
  }

  get url(): string {
    return this.#listener.url;
  }

  get env(): Record<string, string> {
    const base = `${this.url}/v2/${this.endpointId}`;
    const gpu = 'gpu=Simulated+GPU';
    return {
      RUNPOD_WEBHOOK_GET_JOB: `${base}/job-take/$ID?${gpu}`,
      RUNPOD_WEBHOOK_POST_OUTPUT: `${base}/job-done/$RUNPOD_POD_ID/$ID?${gpu}`,
      RUNPOD_WEBHOOK_PING: `${base}/ping/$RUNPOD_POD_ID?${gpu}`,
      RUNPOD_PING_INTERVAL: String(this.#options.pingIntervalMs),
      RUNPOD_AI_API_KEY: this.#apiKey,
      RUNPOD_POD_ID: 'simulated-pod',
      RUNPOD_POD_HOSTNAME: 'simulated-pod-host',
      RUNPOD_ENDPOINT_ID: this.endpointId,
    };
  }

  get violations(): readonly Violation[] {
    return this.#jobs.violations;
  }

  submit(input: unknown, extras: Readonly<Record<string, unknown>> = {}): string {
    return this.submitText(JSON.stringify({ id: `${randomUUID()}-u1`, input, ...extras }));
  }

  submitText(jobText: string): string {
    const jobId = JsonText.parse(jobText).get('id')?.value();
    if (typeof jobId !== 'string') throw new TypeError('A job has an "id" that is a string');
    this.#jobs.submit(jobId, jobText);
    return jobId;
  }

  job(jobId: string): SimulatedJob | undefined {
    return this.#jobs.get(jobId);
  }

  result(jobId: string): Promise<RecordedRequest> {
    return this.#waits.bounded(`The result of job ${jobId}`, this.#jobs.result(jobId));
  }

  stopJob(jobId: string): void {
    cancelJob(this.#platform, jobId);
  }

  nextTake(matches?: Matches): Promise<RecordedRequest> {
    return this.#next('A job-take', this.takes, matches);
  }

  nextPost(matches?: Matches): Promise<RecordedRequest> {
    return this.#next('A post', this.posts, matches);
  }

  nextPing(matches?: Matches): Promise<RecordedRequest> {
    return this.#next('A ping', this.pings, matches);
  }

  nextStop(matches?: Matches): Promise<RecordedRequest> {
    return this.#next('A job-stop', this.stops, matches);
  }

  async until(holds: () => boolean): Promise<void> {
    await this.#waits.until(holds.toString(), () => holds() || undefined);
  }

  down(): Promise<void> {
    return this.#listener.down();
  }

  up(): Promise<void> {
    return this.#listener.up();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#waits.end();
    await this.#listener.down();
  }

  #next(what: string, records: readonly RecordedRequest[], matches: Matches = () => true) {
    let at = records.length;
    return this.#waits.until(what, () => {
      while (at < records.length) {
        const record = records[at++];
        if (record && matches(record)) return record;
      }
      return undefined;
    });
  }

  async #answer(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await receive(message);
    if (!request) return void response.writeHead(404).end();
    const record = toRecord(request, this.#options.keepBodies);
    const reply = new Reply(response, (status) => this.#answered(record, status));
    reply.onClose(() => this.#closed(record));
    const exchange = { request, record, reply };
    this.#record(record);
    if (await this.#applyFault(exchange)) return;
    await answer(this.#platform, exchange, this.#apiKey);
    this.#waits.changed();
  }

  #record(record: RecordedRequest): void {
    this.#recordsOf(record)?.push(record);
    this.#waits.changed();
  }

  #closed(record: RecordedRequest): void {
    if (record.answeredAt === undefined) record.abandoned = true;
    this.#waits.changed();
  }

  #answered(record: RecordedRequest, status: number): void {
    record.answeredAt = performance.now();
    record.status = status;
    this.#waits.changed();
  }

  #recordsOf({ route }: RecordedRequest): RecordedRequest[] | undefined {
    if (route.startsWith('job-take')) return this.takes;
    if (route === 'job-stop') return this.stops;
    if (route === 'ping') return this.pings;
    return route === 'job-done' ? this.posts : undefined;
  }

  /** True if a fault answered the request, so that the route must not. */
  async #applyFault({ request, reply }: Exchange): Promise<boolean> {
    const fault = this.faults.of(request);
    if (fault === undefined) return false;
    if (fault === 'hang') return true;
    if (fault === 'reset') reply.reset();
    if (fault === 'lose-answer') reply.lose();
    if (typeof fault === 'string') return fault === 'reset';
    if (fault.delayMs !== undefined) await sleep(fault.delayMs, undefined, { ref: false });
    if (!('status' in fault)) return false;
    reply.text(fault.text ?? '', fault.status, fault.headers);
    return true;
  }
}

const DEFAULTS = {
  takeHoldMs: 30_000,
  stopHoldMs: 30_000,
  pingIntervalMs: 10_000,
  keepBodies: true,
  waitMs: 20_000,
};
