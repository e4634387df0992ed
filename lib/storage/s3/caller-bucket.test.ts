import { expect, test } from '@jest/globals';
import { startS3Simulator, type S3Simulator } from '../../simulator/stand-ins/s3.ts';
import { openCallerBucket, type CallerBucket } from './caller-bucket.ts';
import { never, PIXELS, storedFile } from '../test-file.ts';

function bucketAt(sim: S3Simulator, changes: Partial<CallerBucket> = {}, allowPrivate?: string[]) {
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

test('the region is the one they name, else the one of the endpoint', async () => {
  await using sim = await startS3Simulator({ buckets: ['theirs'], region: 'eu-north-1' });
  await using right = bucketAt(sim, { region: 'eu-north-1' });
  expect(await right.put(storedFile(), never())).toContain('eu-north-1');
  await using wrong = bucketAt(sim, { region: '' });
  await expect(wrong.put(storedFile(), never())).rejects.toThrow(
    '(set s3Config.region to eu-north-1)',
  );
});

test('a refusal names what the caller sent, and shows no secret', async () => {
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

test('a name that leads to this machine is found out when it is connected to, and not told', async () => {
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
