import type { JsonText } from '../json.ts';
import type { JobOptions } from './job-options.ts';
import { toJob, withImages, withInputs } from './job-text.ts';
import { readImage, readText } from './read-files.ts';

/**
 * Everything that can be wrong on this side is found before a job is started: the file, its edits, its images.
 * @throws WorkerError `usage.invalid` or `workflow.input_unknown`.
 */
export async function prepareJob(file: string, options: JobOptions): Promise<JsonText> {
  const text = await readText(file);
  const job = withInputs(toJob(text, file === '-' ? 'stdin' : file), options.set ?? []);
  const images = await Promise.all((options.image ?? []).map((image) => readImage(image)));
  return withImages(job, images);
}
