import { expect, test } from '@jest/globals';
import { ManualClock } from '../clock.ts';
import { startAzureSimulator, type AzureSimulator } from '../simulator/stand-ins/azure.ts';
import { openAzureBlobs, type AzureOptions, type AzureSettings } from './azure.ts';
import { never, PIXELS, storedFile } from './test-file.ts';

const container = 'pictures';

const withKey = (azure: AzureSimulator): AzureSettings => ({
  url: azure.containerUrl,
  accountKey: azure.accountKey,
});
const withSas = (azure: AzureSimulator): AzureSettings => ({
  url: `${azure.containerUrl}?${azure.sas('cw')}`,
});

const opened = (azure: AzureSimulator, settings: AzureSettings, options?: Partial<AzureOptions>) =>
  openAzureBlobs(settings, {
    allowPrivate: [azure.host],
    urlExpiresS: 60,
    retryDelayMs: 1,
    ...options,
  });

const read = async (url: string) => Buffer.from(await (await fetch(url)).arrayBuffer());

test('with an account key the link can be read until it expires', async () => {
  const clock = new ManualClock(Date.now());
  await using azure = await startAzureSimulator({ container, clock });
  await using blobs = await opened(azure, withKey(azure), { clock });
  const url = await blobs.put(storedFile(), never());
  expect(url.split('?')[0]).toBe(`${azure.containerUrl}/job-1/a.png`);
  expect((await read(url)).equals(PIXELS)).toBe(true);
  expect(azure.blobs.get('job-1/a.png')?.mediaType).toBe('image/png');
  clock.advance(61_000);
  expect((await fetch(url)).status).toBe(403);
});

test('with a SAS the address does not contain the SAS', async () => {
  await using azure = await startAzureSimulator({ container });
  await using blobs = await opened(azure, { ...withSas(azure), prefix: '/team/x/' });
  const url = await blobs.put(storedFile({ filename: 'ein Bild #1.png' }), never());
  expect(url).toBe(`${azure.containerUrl}/team/x/ein%20Bild%20%231.png`);
  expect((await read(`${url}?${azure.sas('r')}`)).equals(PIXELS)).toBe(true);
});

test('a large file is sent in blocks, one after the other', async () => {
  await using azure = await startAzureSimulator({ container });
  await using blobs = await opened(azure, withKey(azure));
  const bytes = Buffer.alloc(20 * 1024 * 1024, 'large ');
  const url = await blobs.put(storedFile({ content: new Blob([bytes]) }), never());
  expect((await read(url)).equals(bytes)).toBe(true);
  expect(azure.blobs.get('job-1/a.png')?.blocks).toBe(3);
});

test('a store that is busy twice gets the file with the third attempt', async () => {
  await using azure = await startAzureSimulator({ container });
  await using blobs = await opened(azure, withSas(azure));
  azure.failNext({ kind: 'refuse', status: 503 }, 2);
  await blobs.put(storedFile(), never());
  expect(azure.requests.map(({ status }) => status)).toEqual([503, 503, 201]);
});

test('the error of a refusal has the code, but no key, SAS, or text in which Azure repeats them', async () => {
  await using azure = await startAzureSimulator({ container });
  await using blobs = await opened(azure, { ...withKey(azure), accountKey: 'aHVzaA==' });
  const error: unknown = await blobs.put(storedFile(), never()).catch((reason: unknown) => reason);
  expect(String(error)).toBe(
    `WorkerError: [PUT] ${azure.containerUrl}/job-1/a.png: 403 (AuthenticationFailed)`,
  );
  expect(azure.requests).toHaveLength(1);
});

test('nothing is sent to this machine, neither by its address nor by its name', async () => {
  await using azure = await startAzureSimulator({ container });
  const none = { allowPrivate: [] };
  await expect(opened(azure, withSas(azure), none)).rejects.toThrow(
    /is not on the public internet/,
  );
  const url = withSas(azure).url.replace('127.0.0.1', 'localhost');
  await using blobs = await opened(azure, { url }, none);
  await expect(blobs.put(storedFile(), never())).rejects.toThrow(/is not on the public internet/);
  expect(azure.requests).toHaveLength(0);
});

test('a job that is stopped stops its upload', async () => {
  await using azure = await startAzureSimulator({ container });
  await using blobs = await opened(azure, withSas(azure));
  azure.failNext({ kind: 'hang' });
  const stop = new AbortController();
  const arrived = azure.nextRequest();
  const put = expect(blobs.put(storedFile(), stop.signal)).rejects.toThrow('stopped');
  await arrived;
  stop.abort(new Error('stopped'));
  await put;
  expect(azure.requests).toHaveLength(1);
});
