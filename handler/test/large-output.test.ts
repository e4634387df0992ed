import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startAzureSimulator } from '../../lib/simulator/stand-ins/azure.ts';
import { startPutTarget } from '../../lib/simulator/stand-ins/put-target.ts';
import { startS3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import type { Done, Errand } from './rigs/deliver-alone.ts';

const MEGABYTE = 1024 * 1024;
const LARGE_BYTES = 160 * MEGABYTE;

/** A sparse file, which takes no space on the disk. */
async function largeFile() {
  const folder = await mkdtemp(join(tmpdir(), 'large-output-'));
  const path = join(folder, 'v.mp4');
  await writeFile(path, '');
  await truncate(path, LARGE_BYTES);
  const remove = () => rm(folder, { recursive: true, force: true });
  return { path, folder, [Symbol.asyncDispose]: remove };
}

async function deliverAlone(errand: Errand): Promise<Done> {
  const child = fork(join(import.meta.dirname, 'rigs/deliver-alone.ts'), { execArgv: [] });
  try {
    child.send(errand);
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`It ended with ${String(code)} before it was done`);
    });
    const done = once(child, 'message') as Promise<[Done]>;
    return (await Promise.race([done, ended]))[0];
  } finally {
    child.kill();
  }
}

const few = expect.objectContaining({ problems: [] });
const bound = 100 * MEGABYTE;

test('a large file is uploaded to a bucket without being held in memory', async () => {
  await using file = await largeFile();
  await using s3 = await startS3Simulator({ buckets: ['large'], forgetful: true });
  const s3Config = {
    accessId: s3.accessKeyId,
    accessSecret: s3.secretAccessKey,
    bucketName: 'large',
    endpointUrl: s3.url,
  };
  const storeSettings = {
    volumeFolder: '/none',
    allowPrivate: [new URL(s3.url).host],
    urlExpiresS: 60,
  };
  const done = await deliverAlone({ path: file.path, input: { s3Config }, storeSettings });
  expect(done).toEqual(few);
  expect([...s3.objects.values()].map(({ size }) => size)).toContain(LARGE_BYTES);
  expect(done.peakBytes).toBeLessThan(bound);
}, 60_000);

test('a large file goes to a signed URL, to Azure and to a volume without being held in memory', async () => {
  await using file = await largeFile();
  await using put = await startPutTarget({ forgetful: true });
  await using azure = await startAzureSimulator({ container: 'c', forgetful: true });
  const allowPrivate = [put.host, azure.host];
  const storeSettings = { volumeFolder: file.folder, allowPrivate, urlExpiresS: 60 };
  const sas = `${azure.containerUrl}?${azure.sas('cw')}`;
  for (const output of [
    { put: [{ url: put.signed('/small') }, { url: put.signed('/large') }] },
    { azure: { url: sas } },
    { delivery: 'volume' },
  ]) {
    const done = await deliverAlone({ path: file.path, input: { output }, storeSettings });
    expect(done).toEqual(few);
    expect(done.peakBytes).toBeLessThan(bound);
  }
  expect(put.files.get('/large')?.size).toBe(LARGE_BYTES);
  expect(put.requests.map(({ size }) => size)).toContain(LARGE_BYTES);
  expect((await stat(join(file.folder, 'large', 'v.mp4'))).size).toBe(LARGE_BYTES);
}, 120_000);
