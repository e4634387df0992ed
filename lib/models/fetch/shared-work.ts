import { addAbortListener } from 'node:events';

/** Work that several callers may ask for at the same time, and that is done once. It ends early when no caller waits any longer. */
export class SharedWork<Result, Progress> {
  readonly #running = new Map<string, Running<Result, Progress>>();

  /**
   * Starts the work for `key`, or joins it.
   * @throws the error of the work; the signal's reason if it aborts first
   */
  async join(
    key: string,
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<Result>,
    {
      signal,
      onProgress,
    }: { signal: AbortSignal; onProgress?: ((progress: Progress) => void) | undefined },
  ): Promise<Result> {
    signal.throwIfAborted();
    // Work that is being given up cannot be joined: its end is waited for.
    for (
      let old = this.#running.get(key);
      old?.controller.signal.aborted;
      old = this.#running.get(key)
    )
      await old.result.catch(() => undefined);
    const running = this.#running.get(key) ?? this.#start(key, work);
    const left = Promise.withResolvers<never>();
    const listener = (progress: Progress) => onProgress?.(progress);
    running.listeners.add(listener);
    using _leaving = addAbortListener(signal, () => left.reject(signal.reason));
    try {
      return await Promise.race([running.result, left.promise]);
    } finally {
      running.listeners.delete(listener);
      if (running.listeners.size === 0) running.controller.abort(signal.reason);
    }
  }

  #start(
    key: string,
    work: (signal: AbortSignal, report: (progress: Progress) => void) => Promise<Result>,
  ): Running<Result, Progress> {
    const controller = new AbortController();
    const listeners = new Set<(progress: Progress) => void>();
    const report = (progress: Progress) => listeners.forEach((listener) => listener(progress));
    const result = work(controller.signal, report).finally(() => this.#running.delete(key));
    result.catch(() => undefined);
    const running = { controller, listeners, result };
    this.#running.set(key, running);
    return running;
  }
}

interface Running<Result, Progress> {
  readonly controller: AbortController;
  readonly listeners: Set<(progress: Progress) => void>;
  readonly result: Promise<Result>;
}
