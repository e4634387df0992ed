import { randomUUID } from 'node:crypto';
import { readConfig } from '../config.ts';
import { valueOf } from '../json-body.ts';
import type { JsonText } from '../json.ts';
import type { Job } from '../queues/queue.ts';
import { cancellable } from './cancellable.ts';
import { concludeJob } from './conclude.ts';
import type { CliContext, JobOptions, LocalRun } from './context.ts';
import type { JobView } from './endpoint.ts';
import { prepareJob } from './job-file.ts';
import { findComfy } from './requests.ts';
import { openFolder } from './result-files.ts';
import { maybeStep, Screen } from './screen.ts';

export interface RunOptions extends JobOptions {
  readonly simulate?: true;
}

/** Runs one job in this process, in the ComfyUI at `COMFY_URL` or in the embedded one. @returns the exit code. */
export async function run(file: string, options: RunOptions, context: CliContext): Promise<number> {
  const { simulate = false, out, json = false, quiet, timeout } = options;
  using screen = new Screen({ quiet });
  const { COMFY_URL } = readConfig(context.environment);
  const job = toLocalJob(await prepareJob(file, options));
  await openFolder(out);

  return await cancellable({ screen, timeoutS: timeout }, async (signal) => {
    if (!simulate) await findComfy(COMFY_URL, { signal });
    screen.note(
      `ComfyUI   ${simulate ? 'embedded, simulated: real protocol, no models' : COMFY_URL}`,
    );
    const startedAt = performance.now();
    const done = await context.runJob(job, {
      simulate,
      signal,
      onProgress: (progress) => {
        const step = maybeStep(valueOf(progress));
        if (step) screen.progress(step);
      },
    });
    const view = toView(job.jobId, done, performance.now() - startedAt);
    const { timings } = done;
    return concludeJob(view, { screen, folder: out, json, signal, timings });
  });
}

function toLocalJob(source: JsonText): Job {
  const sent = source.get('id')?.value();
  const jobId = typeof sent === 'string' && sent !== '' ? sent : `local-${randomUUID()}`;
  return { jobId, input: source.get('input') ?? source, source };
}

function toView(jobId: string, { result }: LocalRun, ms: number): JobView {
  const { output } = result;
  const error = result.error?.message;
  const status = error === undefined ? 'COMPLETED' : 'FAILED';
  return { jobId, status, output: output && valueOf(output), error, executionTime: Math.round(ms) };
}
