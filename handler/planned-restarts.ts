import type { ComfySupervisor } from '../lib/comfy/local/supervisor/supervisor.ts';
import type { Config } from '../lib/config.ts';
import type { Handler } from '../lib/queues/queue.ts';
import type { Gate } from '../lib/worker/worker.ts';

interface RestartOptions {
  readonly supervisor: Pick<ComfySupervisor, 'health' | 'memoryBytes' | 'renew'>;
  /** Restart above this memory; undefined: never for this reason. */
  readonly maxMemoryBytes: number | undefined;
  /** Restart after this many jobs; undefined: never for this reason. */
  readonly afterJobs: number | undefined;
}

/**
 * Restarts ComfyUI between jobs: when it has grown too large, or has run enough of them.
 *
 * When a restart is due, no more polls for jobs begin. Jobs in hand, also those that were prefetched, run to their end. Then
 * ComfyUI is restarted. A poll that is open meanwhile stays open, because a job that is on its way would be lost; its job
 * waits for ComfyUI.
 */
export class PlannedRestarts implements Gate {
  readonly #options: RestartOptions;
  readonly #listeners = new Set<() => void>();
  #jobsInHand = 0;
  #jobsRun = 0;
  /** Why a restart is due. */
  #due: string | undefined;

  constructor(options: RestartOptions) {
    this.#options = options;
    const { health } = options.supervisor;
    health.onChange(() => {
      // A start for another reason counts as well.
      if (health.status === 'starting') {
        this.#jobsRun = 0;
        this.#due = undefined;
      }
      this.#notify();
    });
  }

  isOpen(): boolean {
    return this.#due === undefined && this.#options.supervisor.health.status === 'up';
  }

  endsPoll(): boolean {
    return this.#options.supervisor.health.status === 'down';
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** A handler whose jobs are counted. */
  around(handler: Handler): Handler {
    return async (job, context) => {
      this.#jobsInHand++;
      try {
        return await handler(job, context);
      } finally {
        this.#jobsRun++;
        const reason = await this.#reasonToRestart();
        if (reason !== undefined && this.#due === undefined) {
          this.#due = reason;
          this.#notify();
        }
        this.#jobsInHand--;
        if (this.#due !== undefined && this.#jobsInHand === 0)
          this.#options.supervisor.renew(this.#due);
      }
    };
  }

  async #reasonToRestart(): Promise<string | undefined> {
    const { supervisor, maxMemoryBytes, afterJobs = Infinity } = this.#options;
    if (this.#jobsRun >= afterJobs) return `it has run its jobs (${this.#jobsRun})`;
    if (maxMemoryBytes === undefined) return undefined;
    const bytes = (await supervisor.memoryBytes()) ?? 0;
    if (bytes <= maxMemoryBytes) return undefined;
    return `it uses ${Math.round(bytes / MEGABYTE)} MB of memory`;
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Undefined when no planned restarts are set. */
export function plannedRestarts(
  { COMFY_MAX_RSS_MB: maxMegabytes, COMFY_RESTART_AFTER_JOBS: afterJobs }: Config,
  supervisor: ComfySupervisor | undefined,
): PlannedRestarts | undefined {
  if (!supervisor || (maxMegabytes === undefined && afterJobs === undefined)) return undefined;
  const maxMemoryBytes = maxMegabytes === undefined ? undefined : maxMegabytes * MEGABYTE;
  return new PlannedRestarts({ supervisor, maxMemoryBytes, afterJobs });
}

const MEGABYTE = 1_000_000;
