import { expect, test } from '@jest/globals';
import { fetch } from 'undici';
import { startS3Simulator } from '../../lib/simulator/stand-ins/s3.ts';
import { pictures, startRig } from './rigs/test-rig.ts';

async function startBucketRig(environment: Record<string, string> = {}) {
  const parts = new AsyncDisposableStack();
  const s3 = parts.use(await startS3Simulator({ buckets: ['pictures'] }));
  const rig = parts.use(
    await startRig({
      environment: {
        BUCKET_ENDPOINT_URL: s3.url,
        BUCKET_ACCESS_KEY_ID: s3.accessKeyId,
        BUCKET_SECRET_ACCESS_KEY: s3.secretAccessKey,
        BUCKET_NAME: 'pictures',
        ...environment,
      },
    }),
  );
  return { s3, rig, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}

test('images are stored in the bucket, and the URL returns exactly their bytes', async () => {
  await using setup = await startBucketRig();
  const { output } = await setup.rig.run({ workflow: pictures({ count: 3 }) });
  expect(output?.images?.map(({ filename, type }) => [filename, type])).toEqual([
    ['T_00001_.png', 's3_url'],
    ['T_00002_.png', 's3_url'],
    ['T_00003_.png', 's3_url'],
  ]);
  for (const { filename, data } of output?.images ?? []) {
    const stored = await fetch(data);
    expect(stored.status).toBe(200);
    expect(stored.headers.get('content-type')).toBe('image/png');
    const seen = await fetch(
      `${setup.rig.comfy.url}/view?filename=${filename}&subfolder=&type=output`,
    );
    expect(Buffer.from(await stored.arrayBuffer())).toEqual(Buffer.from(await seen.arrayBuffer()));
  }
});

test('an image the bucket refuses is returned as base64, with the reason', async () => {
  await using setup = await startBucketRig({ BUCKET_NAME: 'missing' });
  const { output, error } = await setup.rig.run({ workflow: pictures() });
  expect(error).toBeUndefined();
  expect(output?.images?.map(({ filename, type }) => [filename, type])).toEqual([
    ['T_00001_.png', 'base64'],
  ]);
  expect(output?.errors?.[0]).toMatch(
    /^Error uploading T_00001_\.png to S3: An error occurred \(NoSuchBucket\) when calling the PutObject operation/,
  );
  expect(JSON.stringify(output)).not.toContain(setup.s3.secretAccessKey);
});

test('with BUCKET_PREFIX, objects keep their file names, also two of the same name', async () => {
  await using setup = await startBucketRig({ BUCKET_PREFIX: 'comfy/results' });
  const workflow = {
    ...pictures(),
    '3': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'other/T' } },
  };
  const { output } = await setup.rig.run({ workflow }, { id: 'job-7' });
  const paths = output?.images?.map(({ data }) => new URL(data).pathname).sort();
  expect(paths).toEqual([
    '/pictures/comfy/results/job-7/1-T_00001_.png',
    '/pictures/comfy/results/job-7/T_00001_.png',
  ]);
});

test('an image the bucket refuses and that does not fit into the result fails the job', async () => {
  await using setup = await startBucketRig({ BUCKET_NAME: 'missing', RESULT_MAX_BYTES: '1024' });
  const { output, error } = await setup.rig.run({ workflow: pictures() });
  expect(error).toBe('Job processing failed');
  expect(output?.details?.[0]).toMatch(/too large to be returned as base64/);
});
