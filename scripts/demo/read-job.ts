import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { JsonText } from '../../lib/json.ts';
import type { Job } from '../../lib/runpod/job.ts';
import { readLocalJob } from '../../lib/runpod/local-job.ts';

/** A job file, or a bare workflow: then a job is made of it, with those of our test images that it names. */
export async function readJob(file: string): Promise<Job> {
  const text = await readFile(file, 'utf8').catch(() => '');
  if (!isWorkflow(text)) return readLocalJob({ file });
  const images = JSON.stringify(await imagesNamedIn(text));
  return readLocalJob({ testInput: `{"input":{"workflow":${text},"images":${images}}}` });
}

function isWorkflow(text: string): boolean {
  const nodes = maybeEntries(text);
  return nodes.length > 0 && nodes.every(([, node]) => node.get('class_type') !== undefined);
}

function maybeEntries(text: string): [string, JsonText][] {
  try {
    return JsonText.parse(text).entries();
  } catch {
    return []; // readLocalJob says what is wrong with it
  }
}

async function imagesNamedIn(workflow: string): Promise<{ name: string; image: string }[]> {
  const names = (await readdir(IMAGES)).filter((name) => workflow.includes(`"${name}"`));
  return Promise.all(
    names.map(async (name) => ({ name, image: await readFile(join(IMAGES, name), 'base64') })),
  );
}

const IMAGES = 'test_resources/images';
