import { z } from 'zod';

/** A job as `/status` tells it. */
const JobViewSchema = z
  .object({
    id: z.string(),
    status: z.enum(['IN_QUEUE', 'IN_PROGRESS', 'COMPLETED', 'FAILED', 'CANCELLED', 'TIMED_OUT']),
    /** The result, or the latest progress. */
    output: z.unknown().optional(),
    error: z
      .unknown()
      .optional()
      .transform((error) =>
        error === undefined || typeof error === 'string' ? error : JSON.stringify(error),
      ),
    delayTime: z.number().optional(),
    executionTime: z.number().optional(),
  })
  .transform(({ id, ...view }) => ({ jobId: id, ...view }));

export type JobView = z.infer<typeof JobViewSchema>;

export function maybeJobView(answer: unknown): JobView | undefined {
  return JobViewSchema.safeParse(answer).data;
}

export function hasEnded({ status }: JobView): boolean {
  return status !== 'IN_QUEUE' && status !== 'IN_PROGRESS';
}
