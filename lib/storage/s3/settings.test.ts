import { expect, test } from '@jest/globals';
import { readConfig } from '../../config.ts';
import { isWorkerError } from '../../errors.ts';
import { bucketSettings, ignoredBucketVariables, regionOf } from './settings.ts';

const KEYS = { BUCKET_ACCESS_KEY_ID: 'AKIDEXAMPLE', BUCKET_SECRET_ACCESS_KEY: 'hush-hush' };

const settings = (environment: Record<string, string>) =>
  bucketSettings(readConfig({ ...KEYS, ...environment }));

function problems(environment: Record<string, string>): readonly string[] {
  try {
    bucketSettings(readConfig(environment));
    return [];
  } catch (error) {
    if (!isWorkerError(error, 'storage.misconfigured')) throw error;
    for (const problem of error.details ?? []) expect(error.message).toContain(problem);
    return error.details ?? [];
  }
}

test('without an endpoint there is no bucket', () => {
  expect(settings({})).toBeUndefined();
});

test('keys without an endpoint are listed, so that the operator can be warned', () => {
  expect(ignoredBucketVariables(readConfig({ ...KEYS, BUCKET_NAME: 'b' }))).toEqual([
    'BUCKET_ACCESS_KEY_ID',
    'BUCKET_SECRET_ACCESS_KEY',
    'BUCKET_NAME',
  ]);
  expect(ignoredBucketVariables(readConfig({}))).toEqual([]);
});

test('without a bucket name the month follows the endpoint, with a bucket in it or without', () => {
  const place = { bucket: undefined, addressing: 'path' };
  for (const [endpoint, base] of [
    ['https://my.s3.eu-west-2.amazonaws.com', 'https://my.s3.eu-west-2.amazonaws.com'],
    ['https://s3.us-west-2.amazonaws.com/', 'https://s3.us-west-2.amazonaws.com'],
    ['https://host.example/pics/', 'https://host.example/pics'],
    ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
  ] as const) {
    expect(settings({ BUCKET_ENDPOINT_URL: endpoint })).toMatchObject({ ...place, endpoint: base });
  }
});

test.each([
  ['https://s3.us-west-2.amazonaws.com', undefined, 'https://s3.us-west-2.amazonaws.com', 'path'],
  ['https://s3.us-west-2.amazonaws.com', 'false', 'https://s3.us-west-2.amazonaws.com', 'host'],
  [
    'https://pics.s3.us-west-2.amazonaws.com',
    undefined,
    'https://s3.us-west-2.amazonaws.com',
    'host',
  ],
  ['https://pics.s3.us-west-2.amazonaws.com', 'true', 'https://s3.us-west-2.amazonaws.com', 'path'],
  ['https://host.example/pics', undefined, 'https://host.example', 'path'],
  ['https://host.example/s3/pics/', undefined, 'https://host.example/s3', 'path'],
  ['https://host.example/not-pics', undefined, 'https://host.example/not-pics', 'path'],
  ['https://picsart.example', undefined, 'https://picsart.example', 'path'],
])(
  'bucket pics at %s with BUCKET_FORCE_PATH_STYLE=%s is found at %s, bucket in the %s',
  (url, force, endpoint, addressing) => {
    const found = settings({
      BUCKET_ENDPOINT_URL: url,
      BUCKET_NAME: 'pics',
      ...(force === undefined ? {} : { BUCKET_FORCE_PATH_STYLE: force }),
    });
    expect(found).toMatchObject({ bucket: 'pics', endpoint, addressing });
  },
);

test('a bucket with dots in the host is addressed by path, because no certificate covers it', () => {
  const found = settings({
    BUCKET_ENDPOINT_URL: 'https://my.dotted.s3.eu-west-1.amazonaws.com',
    BUCKET_NAME: 'my.dotted',
  });
  expect(found).toMatchObject({
    endpoint: 'https://s3.eu-west-1.amazonaws.com',
    addressing: 'path',
  });
});

test('BUCKET_REGION wins over what the endpoint says', () => {
  const BUCKET_ENDPOINT_URL = 'https://s3.us-west-2.amazonaws.com';
  expect(settings({ BUCKET_ENDPOINT_URL })?.region).toBe('us-west-2');
  expect(settings({ BUCKET_ENDPOINT_URL, BUCKET_REGION: 'eu-north-1' })?.region).toBe('eu-north-1');
});

test('an endpoint without keys stops the start, and the error names the variables', () => {
  expect(problems({ BUCKET_ENDPOINT_URL: 'https://s3.example' })).toEqual([
    expect.stringMatching(/^BUCKET_ACCESS_KEY_ID is missing; .*base64/),
    expect.stringMatching(/^BUCKET_SECRET_ACCESS_KEY is missing; /),
  ]);
});

test.each([
  [{ BUCKET_ENDPOINT_URL: 'https://user:word@s3.example' }, /without user/],
  [{ BUCKET_ENDPOINT_URL: 'https://s3.example/?region=x' }, /without user, query/],
  [{ BUCKET_KEY_TEMPLATE: '{jobid}/{random}' }, /BUCKET_KEY_TEMPLATE does not know \{jobid\}/],
  [{ BUCKET_NAME: 'a/b' }, /"a\/b" is not a bucket's name/],
  [{ BUCKET_FORCE_PATH_STYLE: 'false' }, /needs BUCKET_NAME/],
  [
    {
      BUCKET_FORCE_PATH_STYLE: 'false',
      BUCKET_NAME: 'pics',
      BUCKET_ENDPOINT_URL: 'http://[::1]:9000',
    },
    /not an IP address/,
  ],
  [{ BUCKET_FORCE_PATH_STYLE: 'false', BUCKET_NAME: 'My_Bucket' }, /cannot put My_Bucket/],
])('%j is refused', (environment, problem) => {
  const found = problems({ BUCKET_ENDPOINT_URL: 'https://s3.example', ...KEYS, ...environment });
  expect(found).toEqual([expect.stringMatching(problem)]);
});

test('no problem quotes a key', () => {
  const all = problems({
    ...KEYS,
    BUCKET_ENDPOINT_URL: 'https://user:word@s3.example',
    BUCKET_KEY_TEMPLATE: '{',
  });
  expect(all).toHaveLength(2);
  expect(all.join()).not.toMatch(/hush|AKID|word@/);
});

test.each([
  ['https://b.s3.us-east-1.amazonaws.com', 'us-east-1'],
  ['https://s3.us-west-2.amazonaws.com', 'us-west-2'],
  ['https://s3-us-west-2.amazonaws.com', 'us-west-2'],
  ['https://b.s3-eu-west-1.amazonaws.com', 'eu-west-1'],
  ['https://my.s3.eu-west-2.amazonaws.com', 'eu-west-2'],
  ['https://b.s3.dualstack.us-east-2.amazonaws.com', 'us-east-2'],
  ['https://s3-fips.us-gov-west-1.amazonaws.com', 'us-gov-west-1'],
  ['https://s3.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
  ['https://bucket.vpce-1a2b3c.s3.eu-north-1.vpce.amazonaws.com', 'eu-north-1'],
  ['https://b.s3.amazonaws.com', 'us-east-1'],
  ['https://s3.amazonaws.com', 'us-east-1'],
  ['https://b.s3-accelerate.amazonaws.com', 'us-east-1'],
  ['https://images.s3.s3.ap-southeast-2.amazonaws.com', 'ap-southeast-2'],
  ['https://b.s3.eu-central-003.backblazeb2.com', 'eu-central-003'],
  ['https://s3.eu-central-003.backblazeb2.com', 'eu-central-003'],
  ['https://nyc3.digitaloceanspaces.com', 'nyc3'],
  ['https://b.nyc3.digitaloceanspaces.com', 'nyc3'],
  ['https://0123abcd.r2.cloudflarestorage.com', 'auto'],
  ['https://0123abcd.eu.r2.cloudflarestorage.com/b', 'auto'],
  ['https://storage.googleapis.com', 'auto'],
  ['https://fly.storage.tigris.dev', 'auto'],
  ['https://s3api-eur-is-1.runpod.io', 'eur-is-1'],
  ['https://s3api-EU-RO-1.runpod.io/', 'eu-ro-1'],
  ['https://s3.wasabisys.com', 'us-east-1'],
  ['https://s3.eu-central-1.wasabisys.com', 'eu-central-1'],
  ['https://s3.fr-par.scw.cloud', 'fr-par'],
  ['https://b.s3.nl-ams.scw.cloud', 'nl-ams'],
  ['https://s3.gra.io.cloud.ovh.net', 'gra'],
  ['https://s3.eu-west-par.io.cloud.ovh.net', 'eu-west-par'],
  ['https://s3.sbg.perf.cloud.ovh.net', 'sbg'],
  ['https://us-east-1.linodeobjects.com', 'us-east-1'],
  ['https://b.fsn1.your-objectstorage.com', 'fsn1'],
  ['https://ewr1.vultrobjects.com', 'ewr1'],
  ['https://sos-ch-gva-2.exo.io', 'ch-gva-2'],
  ['https://oss-cn-hangzhou.aliyuncs.com', 'oss-cn-hangzhou'],
  ['https://ns.compat.objectstorage.us-phoenix-1.oraclecloud.com', 'us-phoenix-1'],
  ['https://s3-eu-central-1.ionoscloud.com', 'eu-central-1'],
  ['http://127.0.0.1:9000', 'us-east-1'],
  ['http://minio:9000', 'us-east-1'],
  ['https://minio.s3.local:9000', 'us-east-1'],
  ['https://s3.my-company.com', 'us-east-1'],
])('%s is signed for %s', (endpoint, region) => {
  expect(regionOf(new URL(endpoint))).toBe(region);
});

test('AWS_DEFAULT_REGION is used when the endpoint names no region and BUCKET_REGION is not set', () => {
  const regionAt = (endpoint: string, environment: Record<string, string>) =>
    settings({ BUCKET_ENDPOINT_URL: endpoint, ...environment })?.region;
  const own = { AWS_DEFAULT_REGION: 'eu-west-1' };
  for (const silent of [
    'https://s3.amazonaws.com',
    'http://minio:9000',
    'https://s3.wasabisys.com',
  ])
    expect(regionAt(silent, own)).toBe('eu-west-1');
  expect(regionAt('http://minio:9000', { AWS_REGION: 'eu-west-2' })).toBe('eu-west-2');
  expect(regionAt('http://minio:9000', { AWS_REGION: 'eu-west-2', ...own })).toBe('eu-west-1');
  expect(regionAt('http://minio:9000', { BUCKET_REGION: 'eu-west-3', ...own })).toBe('eu-west-3');
  expect(regionAt('https://s3.us-west-2.amazonaws.com', own)).toBe('us-west-2');
  expect(regionAt('https://0123abcd.r2.cloudflarestorage.com', own)).toBe('auto');
});

test.each([
  [{}, '{job_id}/{random}{ext}'],
  [{ BUCKET_PREFIX: 'comfy' }, 'comfy/{job_id}/{filename}'],
  [{ BUCKET_PREFIX: '/a/{b}/' }, '/a/_b_//{job_id}/{filename}'],
  [{ BUCKET_KEY_TEMPLATE: '{random}' }, '{random}'],
  [{ BUCKET_PREFIX: 'comfy', BUCKET_KEY_TEMPLATE: '{random}' }, '{random}'],
])('with %j, object keys are %s', (environment, template) => {
  const endpoint = { BUCKET_ENDPOINT_URL: 'https://s3.example' };
  expect(settings({ ...endpoint, ...environment })?.keyTemplate).toBe(template);
});
