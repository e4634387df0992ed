import { ApiError, Turns } from './api.js';
import { forgetFiles, previewOf, progressOf, textsOf, toFiles, warningsOf } from './output.js';

/**
 * One job of this session, from sending to its end. Dispatches `change` whenever something to show has changed.
 *
 * @import { Api, JobStatus, JobView } from './api.js'
 * @import { Progress, ResultFile } from './output.js'
 */
export class Job extends EventTarget {
  /** @type {JobStatus | 'SENDING' | 'REFUSED'} */
  status = 'SENDING';
  /** @type {Progress | undefined} */
  progress;
  /** @type {string | undefined} Latest preview image, as a data URI. */
  preview;
  /** @type {Omit<JobView, 'output'> | undefined} The last status from the server, once the job is over. */
  end;
  /** @type {readonly ResultFile[]} */
  files = [];
  /** @type {readonly string[]} */
  texts = [];
  /** @type {readonly string[]} */
  warnings = [];
  /** @type {string | undefined} Why the state of the job is unknown. */
  trouble;
  #id = '';
  #api;
  #stopped = new AbortController();

  /**
   * @param {Api} api
   * @param {{ request: string, title: string, origin: unknown }} what `origin` is the draft the job was made from
   */
  constructor(api, { request, title, origin }) {
    super();
    this.#api = api;
    this.request = request;
    this.title = title;
    this.origin = origin;
    this.startedAt = Date.now();
  }

  /** Whether the server has accepted the job, so that it can be cancelled. */
  get isKnown() {
    return this.#id !== '';
  }

  get isOver() {
    return this.status === 'REFUSED' || isTerminal(this.status);
  }

  /** Errors, and warnings of a successful job. */
  get messages() {
    const texts = [this.trouble, this.end?.error, ...this.warnings];
    return [...new Set(texts)].filter((text) => text !== undefined);
  }

  /** Resolves when the job is over; never rejects. */
  async run() {
    try {
      const { id, status } = await this.#api.run(this.request);
      this.#id = id;
      this.#show({ status });
      await followers.take(() => this.#follow(), this.#signal);
    } catch (error) {
      if (!this.#signal.aborted) this.#show({ status: 'REFUSED', trouble: toText(error) });
    }
  }

  /** A job that has ended in the meantime keeps its result. */
  async cancel() {
    if (!this.isKnown) return;
    try {
      const { status } = await this.#api.cancel(this.#id);
      if (status !== 'CANCELLED') return;
      this.#stopped.abort();
      this.#show({ status, preview: undefined, trouble: undefined });
    } catch (error) {
      this.#show({ trouble: toText(error) });
    }
  }

  async #follow() {
    while (!(await this.#poll())) await pause(FLOOR_MS);
    const { output, ...end } = await this.#withRetries(() =>
      this.#api.status(this.#id, this.#signal),
    );
    this.files = toFiles(output);
    this.texts = textsOf(output);
    const warnings = warningsOf(output);
    this.#show({ end, warnings, status: end.status, preview: undefined, trouble: undefined });
  }

  /** Waits for an update and shows it. @returns whether the job has ended. */
  async #poll() {
    const view = await this.#withRetries(() => this.#api.stream(this.#id, this.#signal));
    if (isTerminal(view.status)) return true;
    for (const { output } of view.stream) {
      this.preview = previewOf(output) ?? this.preview;
      this.progress = progressOf(output) ?? this.progress;
    }
    this.#show({ status: view.status, trouble: undefined });
    return false;
  }

  get #signal() {
    return this.#stopped.signal;
  }

  /**
   * Retries while the server cannot be reached: the computer may have slept, or the server restarts.
   *
   * @template T
   * @param {() => Promise<T>} ask
   * @returns {Promise<T>}
   */
  async #withRetries(ask) {
    for (let failures = 0; ;) {
      try {
        return await ask();
      } catch (error) {
        const isFinal = error instanceof ApiError && error.status < 500 && error.status !== 429;
        if (isFinal || this.#signal.aborted || ++failures > MAX_RETRIES) throw error;
        await pause(failures * 500);
      }
    }
  }

  /** @param {Partial<Pick<Job, 'status' | 'end' | 'warnings' | 'preview' | 'trouble'>>} news */
  #show(news) {
    Object.assign(this, news);
    this.dispatchEvent(new Event('change'));
  }
}

/**
 * The jobs of this session. Calls `onChange` with each job that changed.
 */
export class Jobs {
  /** @type {Job[]} Oldest first. */
  #jobs = [];
  #api;
  #options;

  /**
   * @param {Api} api
   * @param {{ onChange: (job: Job) => void, onForget: (job: Job) => void }} options
   */
  constructor(api, options) {
    this.#api = api;
    this.#options = options;
  }

  /** @param {ConstructorParameters<typeof Job>[1]} what */
  start(what) {
    const job = new Job(this.#api, what);
    job.addEventListener('change', () => this.#options.onChange(job));
    this.#jobs.push(job);
    this.#forgetOldest();
    void job.run();
    return job;
  }

  /** Keeps the memory of the browser from filling up. */
  #forgetOldest() {
    while (this.#jobs.length > KEPT && this.#jobs[0]?.isOver) {
      const [job] = this.#jobs.splice(0, 1);
      if (!job) return;
      forgetFiles(job.files);
      this.#options.onForget(job);
    }
  }
}

/** @param {string} status */
const isTerminal = (status) => ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'].includes(status);

/** @param {unknown} error */
function toText(error) {
  if (error instanceof ApiError) return error.message;
  return `The worker cannot be reached (${error instanceof TypeError ? error.message : String(error)}). Is it still running?`;
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A browser opens at most six connections to a server. Some must stay free for the user's clicks. */
const followers = new Turns(3);
const FLOOR_MS = 50;
const MAX_RETRIES = 8;
/** Jobs that are remembered. */
const KEPT = 60;
