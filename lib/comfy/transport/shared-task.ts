/**
 * Work that several callers wait for and that is done once. It is given up when the last of them has gone.
 */
export class SharedTask<T> {
  readonly #work: (signal: AbortSignal) => Promise<T>;
  #current:
    { readonly result: Promise<T>; readonly stop: AbortController; waiting: number } | undefined;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  /** Joins the work under way, or starts it. Rejects with the signal's reason when that comes first. */
  async run(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const task = (this.#current ??= this.#start());
    task.waiting++;
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal?.reason);
    signal?.addEventListener('abort', leave);
    try {
      return await Promise.race([task.result, left.promise]);
    } finally {
      signal?.removeEventListener('abort', leave);
      if (--task.waiting === 0) task.stop.abort(signal?.reason);
    }
  }

  /** Gives the work up for everybody. */
  cancel(reason: unknown): void {
    this.#current?.stop.abort(reason);
  }

  #start() {
    const stop = new AbortController();
    const result = this.#work(stop.signal);
    const task = { result, stop, waiting: 0 };
    const clear = () => {
      if (this.#current === task) this.#current = undefined;
    };
    stop.signal.addEventListener('abort', clear);
    result.then(clear, clear);
    return task;
  }
}
