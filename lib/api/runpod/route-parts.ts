import type { FastifyReply } from 'fastify';
import type { Clock } from '../../clock.ts';
import { goneSignal, sendJson } from '../server/answers.ts';
import { hold } from './hold.ts';
import type { JobRecord } from '../jobs/job-record.ts';
import type { JobStore } from '../jobs/job-store.ts';
import { jobView } from './job-view.ts';
import type { Health } from './schemas.ts';
import type { ApiSettings } from '../server/settings.ts';

/** What the operations of an endpoint share. */
export interface RouteParts {
  readonly store: JobStore;
  readonly clock: Clock;
  readonly settings: Pick<ApiSettings, 'maxBytes' | 'allowPrivateWebhooks'>;
  readonly health: () => Promise<Health>;
}

/**
 * Holds the request until the job has ended, at most `ms`, and answers with the job.
 * @throws WorkerError `api.job_unknown` when it was purged, or its life ended, meanwhile.
 */
export async function answerWhenOver(
  reply: FastifyReply,
  { store, clock }: RouteParts,
  { job, ms }: { readonly job: JobRecord; readonly ms: number },
): Promise<FastifyReply> {
  const until = () => job.isOver || store.isClosed || !store.has(job.jobId);
  await hold(until, { changed: job.changed, ms, clock, gone: goneSignal(reply) });
  if (!store.isClosed) store.get(job.jobId);
  sendJson(reply, jobView(job, clock.now()));
  return reply;
}
