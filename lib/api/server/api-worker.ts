import type { Clock } from '../../clock.ts';
import { settlesWithin } from '../../waiting.ts';

/** What the API needs to know of the worker that does its jobs. */
export interface ApiWorker {
  /** Told as `workerId`. */
  readonly workerId: string;
  /** Jobs it can have at once. */
  readonly places: number;
  /** Whether ComfyUI answers; may throw instead of saying no. */
  comfyAnswers(signal: AbortSignal): Promise<boolean>;
  /** Results it has not handed over yet. */
  undelivered(): number;
}

/** Asks for ComfyUI no more than once a second, whoever wants to know, and takes no answer for a no. */
export class ComfyWatch {
  readonly #worker: Pick<ApiWorker, 'comfyAnswers'>;
  readonly #clock: Clock;
  #asked: { readonly at: number; readonly answer: Promise<boolean> } | undefined;

  constructor(worker: Pick<ApiWorker, 'comfyAnswers'>, clock: Clock) {
    this.#worker = worker;
    this.#clock = clock;
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
    const inTime = await settlesWithin(answer, { ms: PATIENCE_MS, clock: this.#clock });
    late.abort();
    return inTime && (await answer);
  }
}

const FRESH_MS = 1000;
const PATIENCE_MS = 2000;
