import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { systemClock } from '../../clock.ts';
import { readConfig } from '../../config.ts';
import { createLog } from '../../log.ts';
import { startS3Simulator, type S3Simulator } from '../../simulator/stand-ins/s3.ts';
import { openCallerBucket, openWorkerBucket, type S3Config } from './store.ts';
import { never, PIXELS, storedFile } from '../test-file.ts';

function bucketAt(sim: S3Simulator, changes: Partial<S3Config> = {}, allowPrivate?: string[]) {
  const sent = {
    accessId: sim.accessKeyId,
    accessSecret: sim.secretAccessKey,
    bucketName: 'theirs',
    endpointUrl: sim.url,
    ...changes,
  };
  const allow = allowPrivate ?? [`127.0.0.1:${sim.port}`, `localhost:${sim.port}`];
  return openCallerBucket(sent, { allowPrivate: allow, urlExpiresS: 60 });
}

test('a file goes into the bucket of the caller, below its folder, and can be fetched', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'] });
  await using bucket = bucketAt(sim, { objectPath: '/team/{job_id}/x/' });
  const url = await bucket.put(storedFile(), never());
  expect(new URL(url).pathname).toMatch(/^\/theirs\/team\/_job_id_\/x\/job-1\/[0-9a-f]{8}\.png$/);
  expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(PIXELS)).toBe(true);
});

test('the region is that of s3Config, else that of the endpoint', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'], region: 'eu-north-1' });
  await using right = bucketAt(sim, { region: 'eu-north-1' });
  expect(await right.put(storedFile(), never())).toContain('eu-north-1');
  await using wrong = bucketAt(sim, { region: '' });
  await expect(wrong.put(storedFile(), never())).rejects.toThrow(
    '(set s3Config.region to eu-north-1)',
  );
});

test('the error of a refusal names the fields of s3Config, and has no secret', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'] });
  await using bucket = bucketAt(sim, { accessSecret: 'hush-hush' });
  const error: unknown = await bucket.put(storedFile(), never()).catch((reason: unknown) => reason);
  expect(String(error)).toContain('check s3Config.accessSecret and s3Config.region');
  expect(String(error)).not.toMatch(/hush|SIMULATEDKEYID/);
});

test('an endpoint that is an address of this machine is refused before anything is sent', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'] });
  expect(() => bucketAt(sim, {}, [])).toThrow(/^s3Config\.endpointUrl: 127\.0\.0\.1:\d+ is not on/);
  expect(sim.requests).toHaveLength(0);
});

test('a host name that resolves to this machine is refused when it is connected to, and the error does not have the address', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'] });
  await using bucket = bucketAt(sim, { endpointUrl: `http://localhost:${sim.port}` }, []);
  const error: unknown = await bucket.put(storedFile(), never()).catch((reason: unknown) => reason);
  expect(String(error)).toMatch(/is not on the public internet/);
  expect(String(error)).not.toContain('127.0.0.1');
  expect(sim.requests).toHaveLength(0);
});

test.each([
  [{ endpointUrl: 'https://user:word@s3.example' }, /^Expected s3Config\.endpointUrl/],
  [{ endpointUrl: 'https://s3.example/?token=hush' }, /without user, query/],
  [{ bucketName: 'a/b' }, /^Expected s3Config\.bucketName/],
])('%j is refused', async (changes, problem) => {
  await using sim = await startS3Simulator({ buckets: [] });
  expect(() => bucketAt(sim, changes)).toThrow(problem);
});

async function opened(environment: Record<string, string>) {
  const destination = new PassThrough();
  const log = await createLog({ level: 'info', format: 'json', destination });
  const storage = openWorkerBucket(readConfig(environment), { clock: systemClock, log });
  await storage?.[Symbol.asyncDispose]();
  return { storage, lines: String(destination.read() ?? '') };
}

test('without bucket settings nothing is opened and nothing is logged', async () => {
  expect(await opened({})).toEqual({ storage: undefined, lines: '' });
});

test('a bucket without an endpoint is logged as a warning, without keys', async () => {
  const { storage, lines } = await opened({
    BUCKET_NAME: 'pictures',
    BUCKET_SECRET_ACCESS_KEY: 'hush-hush',
  });
  expect(storage).toBeUndefined();
  expect(lines).toMatch(/"level":"WARN".*"ignored":\["BUCKET_SECRET_ACCESS_KEY","BUCKET_NAME"\]/);
  expect(lines).not.toContain('hush');
});

test('a prefix beside a key template is logged as a warning', async () => {
  const bucket = {
    BUCKET_ENDPOINT_URL: 'http://127.0.0.1:9',
    BUCKET_ACCESS_KEY_ID: 'id',
    BUCKET_SECRET_ACCESS_KEY: 'secret',
    BUCKET_PREFIX: 'comfy',
  };
  expect((await opened(bucket)).lines).toBe('');
  const { lines } = await opened({ ...bucket, BUCKET_KEY_TEMPLATE: '{random}' });
  expect(lines).toMatch(/"level":"WARN".*BUCKET_PREFIX has no effect/);
});

test('a bucket that is never used opens no connection', async () => {
  const { storage, lines } = await opened({
    BUCKET_ENDPOINT_URL: 'http://127.0.0.1:9',
    BUCKET_ACCESS_KEY_ID: 'id',
    BUCKET_SECRET_ACCESS_KEY: 'secret',
  });
  expect(storage).toBeDefined();
  expect(lines).toBe('');
});
