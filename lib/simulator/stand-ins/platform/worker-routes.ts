import { createHash } from 'node:crypto';
import type { Exchange, Platform } from './platform.ts';
import type { Reply } from './reply.ts';

/** Holds the request until there are jobs; 204 when there are none. */
export function answerTake(platform: Platform, { request, reply }: Exchange): void {
  const batch = request.route === 'job-take-batch';
  const giveUp = platform.jobs.take({
    workerId: request.ids[0] ?? '',
    count: batch ? Math.max(1, Number(request.query.batch_size) || 1) : 1,
    give: (deliveries) => {
      const texts = deliveries.map(({ text }) => text);
      if (!reply.json(batch ? `[${texts.join(',')}]` : texts.join(''))) return false;
      reply.onClose((delivered) => {
        if (!delivered) platform.jobs.putBack(deliveries);
      });
      return true;
    },
  });
  holdFor(platform.takeHoldMs, reply, giveUp);
}

/** Holds the request until a job of this worker is to be stopped; 204 when there is none. */
export function answerStop(platform: Platform, { request, reply }: Exchange): void {
  const give = (jobIds: readonly string[]) => reply.json(JSON.stringify({ jobsToStop: jobIds }));
  holdFor(platform.stopHoldMs, reply, platform.stops.listen(request.ids[0] ?? '', give));
}

/** Takes a result, progress or chunk, whatever its content type says. */
export function answerPost(platform: Platform, { request, record, reply }: Exchange): void {
  const jobId = request.ids[1] ?? '';
  if (request.route === 'job-stream') platform.jobs.stream(jobId, record);
  else platform.jobs.post(jobId, record, request.body, digestOf(request.bodyText));
  reply.json('{}');
}

function holdFor(ms: number, reply: Reply, giveUp: () => void): void {
  if (!reply.open) {
    giveUp();
    return;
  }
  const timer = setTimeout(() => {
    giveUp();
    reply.nothing();
  }, ms);
  reply.onClose(() => {
    clearTimeout(timer);
    giveUp();
  });
}

function digestOf(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

export function answerPing(_platform: Platform, { reply }: Exchange): void {
  reply.json('{}');
}
