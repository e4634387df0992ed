import type { Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import { settlesWithin } from '../../waiting.ts';

/** The worker behind the API. */
export interface ApiWorker {
  /** Shown as `workerId` of the jobs it runs. */
  readonly workerId: string;
  /** Jobs it can run at the same time. */
  readonly slots: number;
  /** Whether ComfyUI answers; a rejection counts as no. */
  comfyAnswers(signal: AbortSignal): Promise<boolean>;
  /** Milliseconds since the epoch when ComfyUI went down; undefined while it is up, during its first start, or if unknown. */
  comfyDownSince?(): number | undefined;
  /** Number of results that are not delivered yet. */
  undelivered(): number;
}

/** Whether ComfyUI is up. Asks at most once a second; no answer within two seconds means no. */
export class ComfyWatch {
  readonly #worker: Pick<ApiWorker, 'comfyAnswers' | 'comfyDownSince'>;
  readonly #clock: Clock;
  #asked: { readonly at: number; readonly answer: Promise<boolean> } | undefined;

  constructor(worker: Pick<ApiWorker, 'comfyAnswers' | 'comfyDownSince'>, clock: Clock) {
    this.#worker = worker;
    this.#clock = clock;
  }

  /** ISO time since when ComfyUI is down. */
  get downSince(): string | undefined {
    const since = this.#worker.comfyDownSince?.();
    return since === undefined ? undefined : new Date(since).toISOString();
  }

  /** @throws WorkerError `api.stopping` while ComfyUI is known to be down. */
  refuseWhileDown(): void {
    const { downSince } = this;
    if (downSince === undefined) return;
    const text = `ComfyUI is down since ${downSince}; no jobs are accepted until it answers`;
    throw new WorkerError('api.stopping', text, { retryAfterMs: RETRY_AFTER_MS });
  }

  isUp(): Promise<boolean> {
    const now = this.#clock.now();
    if (this.#asked && now - this.#asked.at < FRESH_MS) return this.#asked.answer;
    const answer = this.#ask();
    this.#asked = { at: now, answer };
    return answer;
  }

  async #ask(): Promise<boolean> {
    const late = new AbortController();
    const answer = Promise.resolve(this.#worker.comfyAnswers(late.signal)).catch(() => false);
    const inTime = await settlesWithin(answer, { ms: TIMEOUT_MS, clock: this.#clock });
    late.abort();
    return inTime && (await answer);
  }
}

const RETRY_AFTER_MS = 5000;
const FRESH_MS = 1000;
const TIMEOUT_MS = 2000;
