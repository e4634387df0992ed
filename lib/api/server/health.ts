import type { ComfyWatch } from './api-worker.ts';
import type { JobCounts } from '../jobs/job-store.ts';
import type { Health } from '../runpod/schemas.ts';

/** RunPod's view of an endpoint. There is one worker here; it counts once for every job it can have at the same time. */
export async function healthOf(
  counts: JobCounts,
  { places, comfy }: { readonly places: number; readonly comfy: ComfyWatch },
): Promise<Health> {
  const isUp = await comfy.isUp();
  const running = Math.min(counts.IN_PROGRESS, places);
  const idle = isUp ? places - running : 0;
  return {
    jobs: {
      completed: counts.COMPLETED,
      failed: counts.FAILED + counts.TIMED_OUT,
      inProgress: counts.IN_PROGRESS,
      inQueue: counts.IN_QUEUE,
      retried: counts.retried,
    },
    workers: {
      idle,
      initializing: isUp ? 0 : places - running,
      ready: idle,
      running,
      throttled: 0,
      unhealthy: 0,
    },
  };
}
