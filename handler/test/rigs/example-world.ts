import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SIMULATED_MODELS } from '../../../lib/simulator/comfy/nodes/registry.ts';
import { startAzureSimulator } from '../../../lib/simulator/stand-ins/azure.ts';
import { startFileServer } from '../../../lib/simulator/stand-ins/files.ts';
import { startHubSimulator } from '../../../lib/simulator/stand-ins/hugging-face.ts';
import { startPutTarget } from '../../../lib/simulator/stand-ins/put-target.ts';
import { startS3Simulator } from '../../../lib/simulator/stand-ins/s3.ts';
import type { JobExample } from './job-examples.ts';
import { runInProcess } from './run-in-process.ts';
import { startRig } from './test-rig.ts';

/** A worker with the servers and stores that the examples of the document use. */
export interface ExampleWorld extends AsyncDisposable {
  /** Submits the job of the example and returns the posted result. */
  run(): Promise<unknown>;
  /** The result of the document, with the addresses of this world. */
  readonly expected: unknown;
}

export async function startExampleWorld(example: JobExample): Promise<ExampleWorld> {
  const parts = new AsyncDisposableStack();
  const files = parts.use(await startFileServer({ files: await servedFiles() }));
  const s3 = parts.use(await startS3Simulator(S3));
  const volume = await mkdtemp(join(tmpdir(), 'volume-'));
  parts.defer(() => rm(volume, { recursive: true }));
  const stores = parts.use(await startStores());
  const hosts = [files.url, s3.url, ...stores.urls].map((url) => new URL(url).host).join();
  const here = (text: string) =>
    stores
      .here(text)
      .replaceAll('https://files.example.com', files.url)
      .replaceAll('https://s3.example.com', s3.url)
      .replaceAll('/runpod-volume', volume);
  for (const [name, content] of Object.entries(example.files)) {
    await writeFile(join(volume, name), content);
  }
  const environment = {
    DOWNLOAD_ALLOW_PRIVATE: hosts,
    UPLOAD_ALLOW_PRIVATE: hosts,
    WORKFLOWS_DIR: volume,
    ...readSettings(here(example.settings)),
  };
  const job = JSON.parse(here(example.job)) as Job;
  return {
    run: () => (isModule(job, example) ? runApart(job, environment) : runHere(job, environment)),
    expected: JSON.parse(here(example.result)),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** The stores of callers, with their addresses in the document. */
async function startStores() {
  const parts = new AsyncDisposableStack();
  const target = parts.use(await startPutTarget());
  const azure = parts.use(await startAzureSimulator({ container: 'pictures' }));
  const hub = parts.use(await startHubSimulator({ repo: 'datasets/example/pictures' }));
  return {
    urls: [target.url, azure.url, hub.url],
    here: (text: string) =>
      text
        .replaceAll('https://uploads.example.com', target.url)
        .replaceAll('signature=example', 'signature=good')
        .replaceAll('"signature": "example"', '"signature": "good"')
        .replaceAll('https://example.blob.core.windows.net/pictures', azure.containerUrl)
        .replaceAll('ZXhhbXBsZS1rZXk=', azure.accountKey)
        .replaceAll('https://huggingface.co', hub.url)
        .replaceAll('"token": "hf_example"', `"token": "${hub.token}", "hubUrl": "${hub.url}"`),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

interface Job {
  readonly input: { readonly workflow: unknown };
  readonly [extra: string]: unknown;
}

async function runHere({ input, ...extras }: Job, environment: Record<string, string>) {
  await using rig = await startRig({ environment, comfy: { models: SIMULATED_MODELS } });
  return await rig.run(input, extras);
}

async function runApart(job: Job, environment: Record<string, string>): Promise<unknown> {
  return JSON.parse(await runInProcess(job, environment));
}

/** Whether the job names a workflow that is a module. */
function isModule({ input: { workflow } }: Job, { files }: JobExample): boolean {
  return Object.keys(files).some((name) => name === `${String(workflow)}.mjs`);
}

const S3 = {
  buckets: ['pictures', 'customer-files'],
  accessKeyId: 'EXAMPLEKEYID',
  secretAccessKey: 'example-secret',
};

/** All files of the test resources; those under `/private` need the token. */
async function servedFiles() {
  const folders = ['test_resources/images', 'test_resources/media'];
  const found = await Promise.all(
    folders.map(async (folder) => {
      const entries = await readdir(folder, { withFileTypes: true });
      const names = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
      return Promise.all(
        names.map(async (name) => [name, await readFile(join(folder, name))] as const),
      );
    }),
  );
  const needs = { kind: 'bearer', token: 'example-token' } as const;
  return Object.fromEntries(
    found.flat().flatMap(([name, content]) => [
      [`/${name}`, { content }],
      [`/private/${name}`, { content, needs }],
    ]),
  );
}

function readSettings(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.includes('='));
  const pairs = lines.map((line): [string, string] => {
    const [, name = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    return [name, value];
  });
  return Object.fromEntries(pairs);
}
