import { randomUUID } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isWorkflow, toJob, withImages } from '../../lib/cli/job-text.ts';
import { readImage, readText } from '../../lib/cli/read-files.ts';
import { JsonText } from '../../lib/json.ts';
import type { Job } from '../../lib/queues/job.ts';

/** What is in the file as a job. A bare workflow gets those of our test images that it names. */
export async function readJob(file: string): Promise<Job> {
  const text = await readText(file);
  const job = toJob(text, file);
  const names = isWorkflow(JsonText.parse(text)) ? await imagesNamedIn(text) : [];
  const images = await Promise.all(names.map((name) => readImage(join(IMAGES, name))));
  const source = withImages(job, images);
  return { jobId: `demo-${randomUUID()}`, input: source.get('input') ?? source, source };
}

async function imagesNamedIn(workflow: string): Promise<string[]> {
  const names = await readdir(IMAGES);
  return names.filter((name) => workflow.includes(`"${name}"`));
}

const IMAGES = 'test_resources/images';
