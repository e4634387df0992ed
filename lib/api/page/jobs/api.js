/**
 * Client of the RunPod-compatible API on the server of this page.
 *
 * @typedef {'IN_QUEUE' | 'IN_PROGRESS' | 'COMPLETED' | 'FAILED' | 'CANCELLED' | 'TIMED_OUT'} JobStatus
 *
 * @typedef {object} JobView
 * @property {string} id
 * @property {JobStatus} status
 * @property {unknown} [output]
 * @property {string} [error]
 * @property {number} [delayTime] milliseconds
 * @property {number} [executionTime] milliseconds
 *
 * @typedef {object} StreamView
 * @property {JobStatus} status
 * @property {readonly { output: unknown }[]} stream
 */

export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {readonly string[]} [problems] one text for each thing that is wrong, of answers that list them
   */
  constructor(status, message, problems = []) {
    super(message);
    this.status = status;
    this.problems = problems;
  }
}

export class Api {
  /** Asks the user for the key. Resolves to undefined when the dialog is closed. */
  #askForKey;

  /** @param {{ askForKey: (wasWrong: boolean) => Promise<string | undefined> }} options */
  constructor({ askForKey }) {
    this.#askForKey = askForKey;
  }

  get hasKey() {
    return this.#key !== null;
  }

  /**
   * @param {string} request
   * @returns {Promise<JobView>}
   */
  run(request) {
    return this.#call('run', { method: 'POST', body: request });
  }

  /**
   * Asks the worker for the job in a file of any kind.
   *
   * @param {BodyInit} file
   * @returns {Promise<string>} the body of a job, as text
   */
  async convert(file) {
    const response = await this.#send('workflows/convert', { method: 'POST', body: file });
    return response.text();
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<JobView>}
   */
  status(id, signal) {
    return this.#call(`status/${encodeURIComponent(id)}`, { signal: signal ?? null });
  }

  /**
   * Long-polls for progress and previews.
   *
   * @param {string} id
   * @param {AbortSignal} signal
   * @returns {Promise<StreamView>}
   */
  stream(id, signal) {
    return this.#call(`stream/${encodeURIComponent(id)}?previews=true`, { signal });
  }

  /**
   * @param {string} id
   * @returns {Promise<JobView>}
   */
  cancel(id) {
    return this.#call(`cancel/${encodeURIComponent(id)}`, { method: 'POST', body: '{}' });
  }

  /**
   * @template T
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<T>}
   */
  async #call(path, init) {
    const response = await this.#send(path, init);
    return /** @type {Promise<T>} */ (response.json());
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @returns {Promise<Response>} one of success
   */
  async #send(path, init) {
    const key = this.#key;
    const response = await fetch(path, { ...init, headers: headersFor(init, key) });
    if (response.status === 401 && (await this.#isNewKey(key))) return this.#send(path, init);
    if (!response.ok) throw await errorOf(response);
    return response;
  }

  get #key() {
    return sessionStorage.getItem(KEY);
  }

  /** Whether there is a key other than the refused one to try. @param {string | null} refused */
  async #isNewKey(refused) {
    if (this.#key !== refused) return true;
    let key = await this.#askForKey(refused !== null);
    while (key !== undefined && !FITS_A_HEADER.test(key)) key = await this.#askForKey(true);
    if (key !== undefined) sessionStorage.setItem(KEY, key);
    return key !== undefined;
  }
}

/**
 * @param {RequestInit} init
 * @param {string | null} key
 * @returns {HeadersInit}
 */
const headersFor = ({ body }, key) => ({
  ...(body ? { 'Content-Type': 'application/json' } : {}),
  ...(key === null ? {} : { Authorization: `Bearer ${key}` }),
});

/** @param {Response} response */
async function errorOf(response) {
  const { status, statusText } = response;
  const text = await response.text();
  try {
    const body = /** @type {{ error: unknown, problems?: string[] }} */ (JSON.parse(text));
    return new ApiError(status, String(body.error), body.problems);
  } catch {
    return new ApiError(status, text || `The server answered ${status} ${statusText}`);
  }
}

/** Runs a few tasks at a time; the others wait in order. */
export class Turns {
  #free;
  /** @type {(() => void)[]} */
  #line = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * @template T
   * @param {() => Promise<T>} task
   * @param {AbortSignal} signal ends the waiting; a running task must watch it itself
   * @returns {Promise<T>}
   */
  async take(task, signal) {
    await this.#turn(signal);
    try {
      return await task();
    } finally {
      this.#free++;
      this.#line.shift()?.();
    }
  }

  /** @param {AbortSignal} signal */
  async #turn(signal) {
    while (this.#free === 0) {
      const { promise, resolve, reject } = Promise.withResolvers();
      const next = () => resolve(undefined);
      const leave = () => reject(signal.reason);
      this.#line.push(next);
      signal.addEventListener('abort', leave, { once: true });
      await promise.finally(() => {
        signal.removeEventListener('abort', leave);
        this.#line = this.#line.filter((waiting) => waiting !== next);
      });
    }
    if (signal.aborted) this.#line.shift()?.();
    signal.throwIfAborted();
    this.#free--;
  }
}

const KEY = 'comfyui-worker-api-key';
const FITS_A_HEADER = /^[\x20-\x7e]+$/;
