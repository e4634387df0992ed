import { Job } from './job.js';
import { forgetFiles } from './result-files.js';

/**
 * The jobs of this session. Tells `onChange` about the job that changed.
 *
 * @import { Api } from './api.js'
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

  /** A day of trying must not fill the memory of the browser. */
  #forgetOldest() {
    while (this.#jobs.length > KEPT && this.#jobs[0]?.isOver) {
      const [job] = this.#jobs.splice(0, 1);
      if (!job) return;
      forgetFiles(job.files);
      this.#options.onForget(job);
    }
  }
}

const KEPT = 60;
