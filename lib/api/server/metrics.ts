import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { JobCounts, JobStatus } from '../jobs/job-store.ts';
import { RUNPOD_STATUS } from '../runpod/job-view.ts';
import type { WebhookOutcome } from '../runpod/webhooks.ts';

/** Values that are read when the metrics are requested. */
export interface MetricSources {
  counts(): JobCounts | Promise<JobCounts>;
  /** Bytes of memory that the jobs use. */
  recordBytes(): number | Promise<number>;
  undelivered(): number;
  comfyIsUp(): Promise<boolean>;
}

/** Metrics for Prometheus. Created before the worker, which records the phases of its jobs; {@link connect} adds the rest. */
export class Metrics {
  readonly contentType: string;
  readonly #registry = new Registry();
  readonly #phases: Histogram<'phase'>;
  readonly #webhooks: Counter<'outcome'>;

  constructor() {
    this.contentType = this.#registry.contentType;
    collectDefaultMetrics({ register: this.#registry });
    this.#phases = new Histogram({
      name: 'comfyui_worker_phase_seconds',
      help: 'How long each stretch of a job took',
      labelNames: ['phase'],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600],
      registers: [this.#registry],
    });
    this.#webhooks = new Counter({
      name: 'comfyui_worker_webhooks_total',
      help: 'Webhooks by what became of them',
      labelNames: ['outcome'],
      registers: [this.#registry],
    });
  }

  /** @param phases milliseconds by phase of one job. */
  recordPhases(phases: Readonly<Record<string, number>>): void {
    for (const [phase, ms] of Object.entries(phases)) this.#phases.observe({ phase }, ms / 1000);
  }

  recordWebhook(outcome: WebhookOutcome): void {
    this.#webhooks.inc({ outcome: outcome.replace(' ', '_') });
  }

  connect(sources: MetricSources): void {
    this.#addJobs(sources);

    this.#addGauge('comfyui_worker_queue_depth', 'Jobs that nobody has begun', async () => {
      return (await sources.counts()).queued;
    });
    this.#addGauge('comfyui_worker_record_bytes', 'Inputs and outputs kept in memory', () =>
      sources.recordBytes(),
    );
    this.#addGauge('comfyui_worker_undelivered_results', 'Results not handed over yet', () =>
      sources.undelivered(),
    );
    this.#addGauge('comfyui_worker_comfyui_up', '1 when ComfyUI answers', async () =>
      Number(await sources.comfyIsUp()),
    );
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #addJobs(sources: MetricSources): void {
    new Gauge({
      name: 'comfyui_worker_jobs',
      help: 'Jobs by state; of ended ones, how many there were since the start',
      labelNames: ['state'],
      registers: [this.#registry],
      async collect(this: Gauge<'state'>) {
        const { retried, ...counts } = await sources.counts();
        this.set({ state: 'retried' }, retried);
        for (const [status, count] of Object.entries(counts)) {
          this.set({ state: RUNPOD_STATUS[status as JobStatus] }, count);
        }
      },
    });
  }

  #addGauge(name: string, help: string, read: () => number | Promise<number>): void {
    const collect = async function (this: Gauge) {
      this.set(await read());
    };
    new Gauge({ name, help, registers: [this.#registry], collect });
  }
}
