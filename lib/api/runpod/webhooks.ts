import pLimit from 'p-limit';
import { Agent, request } from 'undici';
import type { Clock } from '../../clock.ts';
import { describeError, errnoOf } from '../../errors.ts';
import { createPublicAgent } from '../../http/public-address.ts';
import { redactUrl } from '../../http/redact.ts';
import { Backoff, RETRY_POLICIES } from '../../http/retry.ts';
import type { Logger } from '../../log.ts';
import { USER_AGENT } from '../../version.ts';
import { pause, settlesWithin } from '../../waiting.ts';
import type { StoredJob } from '../jobs/job-store.ts';
import { toBuffers } from '../server/answers.ts';
import { webhookView } from './job-view.ts';

export type WebhookOutcome = 'acknowledged' | 'given up' | 'refused';

/**
 * Posts ended jobs to the webhooks of their requests, as RunPod does: a status of 200 to 299 acknowledges,
 * anything else is retried twice. RunPod's documentation knows 200 only; receivers also answer 201, 202 and 204.
 */
export class Webhooks implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #onSent: (outcome: WebhookOutcome) => void;
  readonly #agent: Agent;
  readonly #limit = pLimit(16);
  readonly #sending = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  constructor({
    clock,
    log,
    allowPrivate,
    onSent,
  }: {
    readonly clock: Clock;
    readonly log: Logger;
    /** Whether private addresses are allowed, too. */
    readonly allowPrivate: boolean;
    readonly onSent: (outcome: WebhookOutcome) => void;
  }) {
    this.#clock = clock;
    this.#log = log;
    this.#onSent = onSent;
    const timeouts = { headersTimeout: ANSWER_MS, bodyTimeout: ANSWER_MS };
    this.#agent = allowPrivate ? new Agent(timeouts) : createPublicAgent(timeouts);
  }

  /** Resolves when the webhook is acknowledged or given up. Never rejects. */
  async send(webhook: string, job: StoredJob): Promise<void> {
    // The body is built now: by the time it is sent, the job may have been retried or lost its output.
    const body = toBuffers(webhookView(job, this.#clock.now(), webhook));
    const log = this.#log.child({ requestId: job.jobId, target: redactUrl(webhook) });
    const sending = this.#post(webhook, body, log).then(this.#onSent);
    this.#sending.add(sending);
    await sending;
    this.#sending.delete(sending);
  }

  /** Requests on their way get a moment to finish; retries are given up. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    const sending = Promise.all(this.#sending);
    await settlesWithin(sending, { ms: LAST_MS, clock: this.#clock });
    await this.#agent.destroy();
    await sending;
  }

  /** Delays do not count towards the limit of requests: targets that fail do not hold up the others. */
  async #post(webhook: string, body: readonly Buffer[], log: Logger): Promise<WebhookOutcome> {
    const policy = RETRY_POLICIES.webhook;
    const backoff = new Backoff(policy);
    const waiting = { clock: this.#clock, signal: this.#stopping.signal };
    for (let attempt = 1; ; attempt++) {
      const problem = await this.#limit(() => this.#postOnce(webhook, body));
      if (!problem) return 'acknowledged';
      log.warn({ reason: problem.reason, attempt }, 'The webhook was not acknowledged');
      if (problem.isFinal) return 'refused';
      if (attempt > policy.retries || !(await pause(backoff.next(), waiting))) return 'given up';
    }
  }

  /** Redirects are not followed: they are no acknowledgement. */
  async #postOnce(
    webhook: string,
    body: readonly Buffer[],
  ): Promise<{ readonly reason: string; readonly isFinal: boolean } | undefined> {
    try {
      const answer = await request(webhook, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'user-agent': USER_AGENT },
        body: Buffer.concat(body),
        dispatcher: this.#agent,
      });
      // Only the status counts. A slow body must not hold up other webhooks.
      void answer.body
        .dump({ limit: DUMPED_BYTES, signal: AbortSignal.timeout(ANSWER_MS) })
        .catch(() => undefined);
      const { statusCode } = answer;
      if (statusCode >= 200 && statusCode <= 299) return undefined;
      return { reason: `it answered ${statusCode} instead of 200`, isFinal: false };
    } catch (error) {
      return { reason: describeError(error), isFinal: errnoOf(error) === 'EPRIVATE' };
    }
  }
}

const ANSWER_MS = 10_000;
const LAST_MS = 5000;
const DUMPED_BYTES = 65_536;
