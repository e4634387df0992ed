/**
 * Runs one job in the real worker, with a queue in memory and the embedded ComfyUI.
 *
 *     npm run demo [-- FILE]      FILE is a job or a workflow; default test_input.json
 */

import { relative, join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { startLocalJobs } from '../handler/modes/local-jobs.ts';
import type { Timings } from '../handler/job-scope.ts';
import { imagesOf, openFolder, saveImages } from '../lib/cli/result-files.ts';
import { describePhases, kilobytes, maybeStep, ProgressBar, shapeOf } from '../lib/cli/screen.ts';
import { readConfig } from '../lib/config.ts';
import { isWorkerError } from '../lib/errors.ts';
import { toText, valueOf, type JsonBody } from '../lib/json-body.ts';
import type { JsonText } from '../lib/json.ts';
import { createLog } from '../lib/log.ts';
import type { LocalQueue } from '../lib/queues/local/local-queue.ts';
import type { EncodedResult, Job } from '../lib/queues/queue.ts';
import { toWireBody } from '../lib/queues/runpod/wire.ts';
import { readImage, readJob as readJobFile, withImages } from '../lib/cli/job-file.ts';

const OUTPUT_FOLDER = 'demo_output';
const IMAGES = 'test_resources/images';
const say = (line = '') => process.stdout.write(`${line}\n`);

async function demo(file: string): Promise<number> {
  const job = await readJob(file);
  const reported: { timings?: Timings } = {};
  await using jobs = await startLocalJobs({
    config: readConfig({ PROGRESS_INTERVAL_MS: '40' }),
    log: await createLog({ level: 'warn', format: 'pretty' }),
    simulate: true,
    onTimings: (_jobId, timings) => (reported.timings = timings),
  });

  say(`ComfyUI   embedded, simulated: real protocol, no models   ${jobs.comfyUrl}`);
  say(`Job       ${relative('.', file)}   ${nodeCount(job.input)} nodes`);
  say();
  const result = await runWithBar(jobs.queue, job);
  say();

  for (const line of await saveAll(result)) say(`Image     ${line}`);
  if (reported.timings) say(`Phases    ${describePhases(reported.timings)}`);
  say(`Result    ${shapeOf(textOf(result)).replaceAll('\n', '\n          ')}`);
  return result.error === undefined ? 0 : 1;
}

async function runWithBar(queue: LocalQueue, job: Parameters<LocalQueue['submit']>[0]) {
  using bar = new ProgressBar(process.stdout);
  const onProgress = (progress: JsonBody) => {
    const step = maybeStep(valueOf(progress));
    if (step) bar.show(step);
  };
  return await queue.submit(job, { onProgress });
}

function textOf(result: EncodedResult): string {
  return toText(toWireBody({ kind: 'result', result }, { hostname: '', podId: '' }));
}

async function saveAll(result: EncodedResult): Promise<string[]> {
  await openFolder(OUTPUT_FOLDER);
  const { signal } = new AbortController();
  const options = { folder: OUTPUT_FOLDER, overwrite: true, signal };
  const { saved, problems } = await saveImages(imagesOf(result), options);
  return [...saved.map(({ path, bytes }) => `${path}  (${kilobytes(bytes)})`), ...problems];
}

function nodeCount(input: JsonText): number {
  return input.get('workflow')?.entries().length ?? 0;
}

try {
  process.exitCode = await demo(process.argv[2] ?? 'test_input.json');
} catch (error) {
  if (!isWorkerError(error)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 1;
}

/** Reads a job. A bare workflow is made into a job with the test images it names. */
async function readJob(file: string): Promise<Job> {
  const job = await readJobFile(file);
  const input = job.get('input');
  const names = input?.get('images') ? [] : await imagesNamedIn(input?.get('workflow')?.text ?? '');
  const images = await Promise.all(names.map((name) => readImage(join(IMAGES, name))));
  const source = withImages(job, images);
  return { jobId: `demo-${randomUUID()}`, input: source.get('input') ?? source, source };
}

async function imagesNamedIn(workflow: string): Promise<string[]> {
  const names = await readdir(IMAGES);
  return names.filter((name) => workflow.includes(`"${name}"`));
}
