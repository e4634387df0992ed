import { z } from 'zod';
import { RUNPOD_STATUS } from './job-view.ts';

/** Schemas of RunPod's API. Requests are checked with them; answers are only described, in `/openapi.json`. */

const StatusSchema = z.enum(Object.values(RUNPOD_STATUS));

const count = z.number().int().min(0);

export const JobStateSchema = z.object({
  id: z.string(),
  status: StatusSchema,
  delayTime: count.optional().describe('Milliseconds in the queue; once the job has begun'),
  executionTime: count.optional().describe('Milliseconds from its start, to its end or until now'),
  workerId: z.string().optional(),
  retries: count.optional().describe('How often it was put back by /retry'),
});

export const JobSchema = JobStateSchema.extend({
  output: z.unknown().optional().describe('The result; while the job runs, its latest progress'),
  error: z.string().optional().describe('Why it failed, or why its output is no longer kept'),
});

export const StreamSchema = z.object({
  status: StatusSchema,
  stream: z
    .array(z.object({ output: z.unknown() }))
    .describe('What is new since the last request; each element is given once'),
});

export const PurgedSchema = z.object({ removed: count, status: z.literal('completed') });

export const RequestsSchema = z.object({ requests: z.array(JobStateSchema) });

export const HealthSchema = z.object({
  jobs: z.object({
    completed: count,
    failed: count,
    inProgress: count,
    inQueue: count,
    retried: count,
  }),
  workers: z.object({
    idle: count,
    initializing: count,
    ready: count,
    running: count,
    throttled: count,
    unhealthy: count,
  }),
});

export type Health = z.infer<typeof HealthSchema>;

const ErrorSchema = z.object({ error: z.string() });

/** Error answers of an operation, beside 401 and 403. */
export const errors = (...statuses: readonly number[]) =>
  Object.fromEntries([401, 403, ...statuses].map((status) => [status, ErrorSchema]));

export const JobIdSchema = z.object({ jobId: z.string().min(1).max(200) });

export const WaitSchema = z.object({
  wait: z
    .string()
    .optional()
    .describe('Milliseconds to hold the request, 1000 to 300000; other values are moved there'),
});
