/**
 * The RunPod-compatible API this page was served by.
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
   */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Api {
  /** Asks a person for the key. Resolves to it, or to undefined when they would rather not. */
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
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<JobView>}
   */
  status(id, signal) {
    return this.#call(`status/${encodeURIComponent(id)}`, { signal: signal ?? null });
  }

  /**
   * Resolves when there is something new, or after a while without.
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
    const key = this.#key;
    const response = await fetch(path, { ...init, headers: headersFor(init, key) });
    if (response.status === 401 && (await this.#isNewKey(key))) return this.#call(path, init);
    if (!response.ok) throw new ApiError(response.status, await messageOf(response));
    return /** @type {Promise<T>} */ (response.json());
  }

  get #key() {
    return sessionStorage.getItem(KEY);
  }

  /** Whether there is another key to try than the one that was refused. @param {string | null} refused */
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
async function messageOf(response) {
  const text = await response.text();
  try {
    const body = /** @type {{ error: unknown }} */ (JSON.parse(text));
    return String(body.error);
  } catch {
    return text || `The server answered ${response.status} ${response.statusText}`;
  }
}

const KEY = 'comfyui-worker-api-key';
const FITS_A_HEADER = /^[\x20-\x7e]+$/;
