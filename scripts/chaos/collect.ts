import { readFile } from 'node:fs/promises';
import type { RecordedRequest } from '../../lib/simulator/stand-ins/runpod/requests.ts';
import { wrongOutput } from './chaos-jobs.ts';
import type { Deliveries, Delivered } from './deliveries.ts';
import type { JobStory, RunRecord } from './stories.ts';
import type { World } from './world.ts';

/** Puts together what the platform, ComfyUI's journal and the run itself know of each job. */
export async function collectStories(
  { platform, journal }: Pick<World, 'platform' | 'journal'>,
  deliveries: Deliveries,
): Promise<JobStory[]> {
  const text = await readFile(journal, 'utf8').catch(() => '');
  const records = text.split('\n').filter(Boolean).map(parseRecord);
  const runs = Map.groupBy(records, ({ jobId }) => jobId);
  const broken = Map.groupBy(platform.violations, ({ jobId }) => jobId);
  return [...deliveries.all.values()].map((delivered) => {
    const job = platform.job(delivered.jobId);
    const { jobId, redeliveries, cancelledAt } = delivered;
    return {
      ...{ jobId, redeliveries, cancelledAt },
      submittedAt: toEpoch(job?.submittedAt ?? 0),
      status: job?.status ?? 'IN_QUEUE',
      resultAt: job?.doneAt === undefined ? undefined : toEpoch(job.doneAt),
      error: typeof job?.error === 'string' ? job.error : undefined,
      wrongOutput: job?.status === 'COMPLETED' ? wrongOutputOf(job.output, delivered) : undefined,
      posts: job?.posts.map(toPost) ?? [],
      runs: runs.get(jobId) ?? [],
      broken: broken.get(jobId)?.map(({ kind }) => kind) ?? [],
    };
  });
}

const parseRecord = (line: string) => JSON.parse(line) as RunRecord;
const toEpoch = (ms: number) => performance.timeOrigin + ms;

function wrongOutputOf(output: unknown, { filename }: Delivered): string | undefined {
  return wrongOutput(output, filename);
}

function toPost({ at, bodyText }: RecordedRequest): JobStory['posts'][number] {
  const isProgress = bodyText.includes('"status":"IN_PROGRESS"');
  return { at: toEpoch(at), what: isProgress ? 'progress' : 'result' };
}
