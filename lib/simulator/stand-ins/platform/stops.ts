type Give = (jobIds: readonly string[]) => boolean;

/** Ids of jobs to stop, by worker, kept until the worker asks. */
export class Stops {
  readonly #pending = new Map<string, string[]>();
  readonly #listeners = new Map<string, Set<Give>>();

  add(workerId: string, jobId: string): void {
    this.#pending.set(workerId, [...(this.#pending.get(workerId) ?? []), jobId]);
    for (const give of this.#listeners.get(workerId) ?? []) this.#hand(workerId, give);
  }

  /** Hands over what is pending, now or later, once; the returned function stops listening. */
  listen(workerId: string, give: Give): () => void {
    const listeners = this.#listeners.get(workerId) ?? new Set();
    this.#listeners.set(workerId, listeners.add(give));
    this.#hand(workerId, give);
    return () => void listeners.delete(give);
  }

  #hand(workerId: string, give: Give): void {
    const jobIds = this.#pending.get(workerId);
    if (!jobIds) return;
    this.#listeners.get(workerId)?.delete(give);
    if (give(jobIds)) this.#pending.delete(workerId);
  }
}
