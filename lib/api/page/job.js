import { ApiError } from './api.js';
import { previewOf, progressOf, textsOf, warningsOf } from './output.js';
import { toFiles } from './result-files.js';
import { Turns } from './turns.js';

/**
 * One job of this session, from its sending to its end. Dispatches `change` whenever there is something to see.
 *
 * @import { Api, JobStatus, JobView } from './api.js'
 * @import { Progress } from './output.js'
 * @import { ResultFile } from './result-files.js'
 */
export class Job extends EventTarget {
  /** @type {JobStatus | 'SENDING' | 'REFUSED'} */
  status = 'SENDING';
  /** @type {Progress | undefined} */
  progress;
  /** @type {string | undefined} The picture as it is now, as a data URI. */
  preview;
  /** @type {Omit<JobView, 'output'> | undefined} What the server says about a job that is over. */
  end;
  /** @type {readonly ResultFile[]} */
  files = [];
  /** @type {readonly string[]} */
  texts = [];
  /** @type {readonly string[]} */
  warnings = [];
  /** @type {string | undefined} Why there is no telling how the job is. */
  trouble;
  #id = '';
  #api;
  #stopped = new AbortController();

  /**
   * @param {Api} api
   * @param {{ request: string, title: string, origin: unknown }} what `origin` is the draft it was made from
   */
  constructor(api, { request, title, origin }) {
    super();
    this.#api = api;
    this.request = request;
    this.title = title;
    this.origin = origin;
    this.startedAt = Date.now();
  }

  /** Whether the server has it, so that it can be cancelled. */
  get isKnown() {
    return this.#id !== '';
  }

  get isOver() {
    return this.status === 'REFUSED' || isTerminal(this.status);
  }

  /** What went wrong, and what went wrong beside a success. */
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

  /** One that has ended meanwhile stays as it is, and is shown as it ended. */
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
    while (!(await this.#listen())) await pause(FLOOR_MS);
    const { output, ...end } = await this.#patiently(() =>
      this.#api.status(this.#id, this.#signal),
    );
    this.files = toFiles(output);
    this.texts = textsOf(output);
    const warnings = warningsOf(output);
    this.#show({ end, warnings, status: end.status, preview: undefined, trouble: undefined });
  }

  /** Waits for news and shows it. @returns whether the job has ended. */
  async #listen() {
    const view = await this.#patiently(() => this.#api.stream(this.#id, this.#signal));
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
   * A laptop that slept or a server that restarts is no reason to give a job up at once.
   *
   * @template T
   * @param {() => Promise<T>} ask
   * @returns {Promise<T>}
   */
  async #patiently(ask) {
    for (let failures = 0; ;) {
      try {
        return await ask();
      } catch (error) {
        const isFinal = error instanceof ApiError && error.status < 500 && error.status !== 429;
        if (isFinal || this.#signal.aborted || ++failures > PATIENCE) throw error;
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

/** @param {string} status */
const isTerminal = (status) => ['COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT'].includes(status);

/** @param {unknown} error */
function toText(error) {
  if (error instanceof ApiError) return error.message;
  return `The worker cannot be reached (${error instanceof TypeError ? error.message : String(error)}). Is it still running?`;
}

/** @param {number} ms */
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A browser keeps six connections to a server: some must stay free for what a person does. */
const followers = new Turns(3);
const FLOOR_MS = 50;
const PATIENCE = 8;
