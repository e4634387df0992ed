import pLimit from 'p-limit';
import { Agent, request } from 'undici';
import type { Clock } from '../../clock.ts';
import { describeError, errnoOf } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { createPublicAgent } from '../../http/public-address.ts';
import { redactUrl } from '../../http/redact.ts';
import { settlesWithin } from '../../waiting.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import { webhookView } from './job-view.ts';
import { toBuffers, type Piece } from '../server/json-object.ts';

export interface WebhookOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Addresses on private networks, too. */
  readonly allowPrivate: boolean;
  readonly onSent: (outcome: WebhookOutcome) => void;
}

export type WebhookOutcome = 'acknowledged' | 'given up' | 'refused';

/** Tells whoever asked for it that a job has ended, as RunPod does: 200 acknowledges, else two more tries ten seconds apart. */
export class Webhooks implements AsyncDisposable {
  readonly #options: WebhookOptions;
  readonly #agent: Agent;
  readonly #lane = pLimit(16);
  readonly #sending = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor(options: WebhookOptions) {
    this.#options = options;
    const limits = { headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS };
    this.#agent = options.allowPrivate ? new Agent(limits) : createPublicAgent(limits);
  }

  /** Resolves when no more tries will be made. Never rejects. */
  async send(job: JobRecord): Promise<void> {
    const { webhook } = job;
    if (webhook === undefined) return;
    // The job may be tried again, or have lost its output, by the time it is its turn.
    const ended = webhookView(job, this.#options.clock.now());
    const sending = this.#deliver(webhook, { jobId: job.jobId, ended });
    this.#sending.add(sending);
    await sending;
    this.#sending.delete(sending);
  }

  /** First tries are let through for a moment; later ones are given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    const sending = Promise.all(this.#sending);
    await settlesWithin(sending, { ms: LAST_MS, clock: this.#options.clock });
    await this.#agent.destroy();
    await sending;
  }

  async #deliver(
    webhook: string,
    { jobId, ended }: { readonly jobId: string; readonly ended: readonly Piece[] },
  ): Promise<void> {
    const log = this.#options.log.child({ requestId: jobId, target: redactUrl(webhook) });
    this.#options.onSent(await this.#tryToPost(webhook, { ended, log }));
  }

  /** Pauses are spent outside of the lane: targets that fail do not hold up the others. */
  async #tryToPost(
    webhook: string,
    { ended, log }: { readonly ended: readonly Piece[]; readonly log: Logger },
  ): Promise<WebhookOutcome> {
    for (let attempt = 1; ; attempt++) {
      const problem = await this.#lane(() => this.#post(webhook, ended));
      if (!problem) return 'acknowledged';
      log.warn({ reason: problem.reason, attempt }, 'The webhook was not acknowledged');
      if (problem.isFinal) return 'refused';
      if (attempt === ATTEMPTS || !(await this.#pause())) return 'given up';
    }
  }

  /** Redirects are not followed: an answer other than 200 is no acknowledgement. */
  async #post(
    webhook: string,
    ended: readonly Piece[],
  ): Promise<{ reason: string; isFinal: boolean } | undefined> {
    try {
      const answer = await request(webhook, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: Buffer.concat(toBuffers(ended)),
        dispatcher: this.#agent,
      });
      // The status is the answer; a body that drips must not hold up the webhooks of others.
      void answer.body
        .dump({ limit: DUMPED_BYTES, signal: AbortSignal.timeout(ANSWER_MS) })
        .catch(nothing);
      if (answer.statusCode === 200) return undefined;
      return { reason: `it answered ${answer.statusCode} instead of 200`, isFinal: false };
    } catch (error) {
      return { reason: describeError(error), isFinal: errnoOf(error) === 'EPRIVATE' };
    }
  }

  /** False when the API is being stopped. */
  #pause(): Promise<boolean> {
    const { clock } = this.#options;
    return clock.sleep(PAUSE_MS, this.#stopping.signal).then(
      () => true,
      () => false,
    );
  }
}

const nothing = () => undefined;
const ATTEMPTS = 3;
const PAUSE_MS = 10_000;
const ANSWER_MS = 10_000;
const LAST_MS = 5000;
const DUMPED_BYTES = 65_536;
