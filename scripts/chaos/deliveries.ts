import type { RunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import { isTerminal, type JobStatus } from '../../lib/simulator/stand-ins/runpod/jobs.ts';
import { epochMs } from '../../lib/simulator/comfy/event-log.ts';
import type { ChaosJob } from './chaos-jobs.ts';
import type { Redelivery } from './stories.ts';

/** The history of one job in the run. */
export interface Delivered extends ChaosJob {
  readonly redeliveries: Redelivery[];
  cancelledAt?: number;
}

/**
 * The part of the platform that the stand-in leaves out: a job whose worker has ended, or no longer names it in its
 * heartbeats, is handed out again.
 */
export class Deliveries {
  readonly all = new Map<string, Delivered>();
  readonly #open = new Map<string, Delivered>();
  readonly #platform: RunpodSimulator;
  /** When a job was last named in a heartbeat, by `performance.now()`. */
  readonly #named = new Map<string, number>();
  #pingsRead = 0;

  constructor(platform: RunpodSimulator) {
    this.#platform = platform;
  }

  /** Jobs that have not ended. */
  get open(): number {
    return this.#open.size;
  }

  /** Jobs submitted so far. */
  get count(): number {
    return this.all.size;
  }

  submit(job: ChaosJob): void {
    const delivered = { ...job, redeliveries: [] };
    this.all.set(job.jobId, delivered);
    this.#open.set(job.jobId, delivered);
    this.#platform.submitText(job.text);
  }

  /** Hands out again what the worker seems to have lost. @returns how many jobs have ended since the last call. */
  update(): number {
    this.#readPings();
    let ended = 0;
    for (const [jobId, delivered] of this.#open) {
      const job = this.#platform.job(jobId);
      if (!job) continue;
      if (isTerminal(job.status)) {
        this.#open.delete(jobId);
        this.#named.delete(jobId);
        ended++;
        continue;
      }
      const seenAt = Math.max(job.assignedAt ?? 0, this.#named.get(jobId) ?? 0);
      const isForgotten = this.#lastPingAt - seenAt > FORGOTTEN_MS;
      if (this.#isOut(delivered) && isForgotten) this.#handOut(delivered, 'not in heartbeats');
    }
    return ended;
  }

  /** The process of the worker has ended, and with it all that it held in memory. */
  workerEnded(): void {
    for (const delivered of this.#open.values())
      if (this.#isOut(delivered)) this.#handOut(delivered, 'worker ended');
  }

  /** Cancels the oldest job of this status. */
  cancelOne(status: JobStatus): boolean {
    for (const [jobId, delivered] of this.#open) {
      if (this.#platform.job(jobId)?.status !== status) continue;
      delivered.cancelledAt = epochMs();
      this.#platform.stopJob(jobId);
      return true;
    }
    return false;
  }

  /** Whether a worker has it, and it does not wait to be handed out again. */
  #isOut({ jobId, redeliveries }: Delivered): boolean {
    const job = this.#platform.job(jobId);
    if (job?.status !== 'IN_PROGRESS' || job.assignedAt === undefined) return false;
    const again = redeliveries.at(-1)?.at ?? 0;
    return performance.timeOrigin + job.assignedAt > again;
  }

  #handOut(delivered: Delivered, why: Redelivery['why']): void {
    delivered.redeliveries.push({ at: epochMs(), why });
    this.#platform.submitText(delivered.text);
  }

  get #lastPingAt(): number {
    return this.#platform.pings.at(-1)?.at ?? 0;
  }

  #readPings(): void {
    const { pings } = this.#platform;
    for (; this.#pingsRead < pings.length; this.#pingsRead++) {
      const ping = pings[this.#pingsRead];
      for (const jobId of ping?.query.job_id?.split(',') ?? [])
        this.#named.set(jobId, ping?.at ?? 0);
    }
  }
}

const FORGOTTEN_MS = 10_000;
