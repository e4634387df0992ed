import { createHash } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { readConfig } from '../../config.ts';
import { startFileServer } from '../../simulator/stand-ins/files.ts';
import { startS3Simulator, type S3Simulator } from '../../simulator/stand-ins/s3.ts';
import { safetensors, startFetchRig } from '../test-models.ts';
import { siteSettings } from './sites.ts';

const MODEL = safetensors(3 * 1024 * 1024);
const SHA256 = createHash('sha256').update(MODEL).digest('hex');
const COMMIT = 'c0ffee'.repeat(6) + 'abcd';
const TOKEN = 'hf_secret';

/** The hub, and the store it redirects to. */
async function startHub() {
  const store = await startFileServer({ files: { '/blob': { content: MODEL } } });
  const headers = {
    'x-repo-commit': COMMIT,
    'x-linked-size': String(MODEL.length),
    'x-linked-etag': `"${SHA256}"`,
  };
  const redirect = { to: `${store.url}/blob`, headers };
  const gated = (status: number) => ({
    content: MODEL,
    fault: { kind: 'refuse', status, headers: { 'x-error-code': 'GatedRepo' } } as const,
  });
  const hub = await startFileServer({
    files: {
      '/me/repo/resolve/main/dir/m.safetensors': { redirect },
      [`/me/repo/resolve/${COMMIT}/dir/m.safetensors`]: { redirect },
      '/me/gated/resolve/main/m.safetensors': gated(401),
      '/me/unaccepted/resolve/main/m.safetensors': gated(403),
      '/me/repo/resolve/main/lost.safetensors': {
        content: MODEL,
        fault: { kind: 'refuse', status: 404, headers: { 'x-error-code': 'EntryNotFound' } },
      },
    },
  });
  return {
    hub,
    store,
    [Symbol.asyncDispose]: async () => {
      await hub[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

test('Hugging Face: the page of a file is enough, its SHA-256 is verified, and the token stays at the hub', async () => {
  await using site = await startHub();
  const credentials = [
    { url_pattern: `${site.hub.url}/**`, auth: { type: 'bearer', token: TOKEN } },
  ];
  await using rig = await startFetchRig({ huggingFaceUrl: site.hub.url, credentials });
  const fetched = await rig.fetch(
    `${site.hub.url}/me/repo/blob/main/dir/m.safetensors?download=true`,
  );
  expect(fetched).toMatchObject({ sha256: SHA256, revision: COMMIT, bytes: MODEL.length });
  expect(
    site.hub.requests.every(({ headers }) => headers.authorization === `Bearer ${TOKEN}`),
  ).toBe(true);
  expect(site.store.requests.length).toBeGreaterThan(0);
  expect(site.store.requests.every(({ headers }) => headers.authorization === undefined)).toBe(
    true,
  );
});

test('Hugging Face: the revision of the manifest wins over the branch in the URL', async () => {
  await using site = await startHub();
  await using rig = await startFetchRig({ huggingFaceUrl: site.hub.url });
  await rig.fetch(`${site.hub.url}/me/repo/resolve/main/dir/m.safetensors`, { revision: COMMIT });
  expect(site.hub.requests[0]?.path).toBe(`/me/repo/resolve/${COMMIT}/dir/m.safetensors`);
});

test('Hugging Face: bytes that do not have the SHA-256 of the hub are refused', async () => {
  await using store = await startFileServer({ files: { '/blob': { content: MODEL } } });
  const headers = { 'x-linked-etag': `"${'b'.repeat(64)}"` };
  const redirect = { to: `${store.url}/blob`, headers };
  await using hub = await startFileServer({
    files: { '/me/r/resolve/main/m.safetensors': { redirect } },
  });
  await using rig = await startFetchRig({ huggingFaceUrl: hub.url });
  const { message } = await rig.failure(`${hub.url}/me/r/resolve/main/m.safetensors`);
  expect(message).toContain(`its SHA-256 is ${SHA256}, not bbbb`);
});

test.each([
  ['gated', 'set HF_TOKEN'],
  ['unaccepted', 'has not accepted its licence'],
  ['repo', 'the repository has no such file'],
])('Hugging Face: a refusal says what to do (%s)', async (repo, advice) => {
  await using site = await startHub();
  await using rig = await startFetchRig({ huggingFaceUrl: site.hub.url });
  const file = repo === 'repo' ? 'lost.safetensors' : 'm.safetensors';
  const { code, message } = await rig.failure(`${site.hub.url}/me/${repo}/resolve/main/${file}`);
  expect([code, message]).toEqual(['model.refused', expect.stringContaining(advice)]);
});

function civitaiFiles(store: string) {
  const version = {
    id: 22,
    files: [
      { name: 'nice_lora.safetensors', primary: true, hashes: { SHA256: SHA256.toUpperCase() } },
    ],
  };
  const json = (value: unknown) => ({
    content: Buffer.from(JSON.stringify(value)),
    mediaType: 'application/json',
  });
  return {
    '/api/v1/models/11': json({ modelVersions: [{ id: 22 }, { id: 21 }] }),
    '/api/v1/model-versions/22': json(version),
    '/api/v1/model-versions/33': json({ id: 33, files: [] }),
    '/api/download/models/22': { redirect: { to: `${store}/blob` } },
    '/api/download/models/33': { redirect: { to: '/login?returnUrl=x', status: 307 } },
    '/login': { content: Buffer.from('<html>Login</html>'), mediaType: 'text/html' },
  } as const;
}

test('Civitai: the page of a model leads to its newest version, with the SHA-256 of the API', async () => {
  await using store = await startFileServer({ files: { '/blob': { content: MODEL } } });
  await using site = await startFileServer({ files: civitaiFiles(store.url) });
  const credentials = [{ url_pattern: `${site.url}/**`, auth: { type: 'bearer', token: TOKEN } }];
  await using rig = await startFetchRig({ civitaiUrl: site.url, credentials });
  expect(await rig.fetch(`${site.url}/models/11`)).toMatchObject({ sha256: SHA256 });
  const download = site.requests.find(({ path }) => path === '/api/download/models/22');
  expect(download?.headers).toMatchObject({
    authorization: `Bearer ${TOKEN}`,
    'content-type': 'application/json',
  });
  expect(store.requests[0]?.headers.authorization).toBeUndefined();
});

test('Civitai: a key in the URL becomes a header, and is in no error', async () => {
  await using store = await startFileServer({ files: {} });
  await using site = await startFileServer({ files: civitaiFiles(store.url) });
  await using rig = await startFetchRig({ civitaiUrl: site.url });
  const { message } = await rig.failure(`${site.url}/api/download/models/22?token=${TOKEN}`);
  expect(message).not.toContain(TOKEN);
  const download = site.requests.find(({ path }) => path === '/api/download/models/22');
  expect(download?.query.has('token')).toBe(false);
  expect(download?.headers.authorization).toBe(`Bearer ${TOKEN}`);
});

test('Civitai: the redirect to its login page is not followed', async () => {
  await using site = await startFileServer({ files: civitaiFiles('http://store.invalid') });
  await using rig = await startFetchRig({ civitaiUrl: site.url });
  const { code, message } = await rig.failure(`${site.url}/api/download/models/33`);
  expect([code, message]).toEqual(['model.refused', expect.stringContaining('set CIVITAI_TOKEN')]);
  expect(site.requests.some(({ path }) => path === '/login')).toBe(false);
});

test('s3:// URLs are presigned with their credentials', async () => {
  await using s3 = await startS3Simulator({ buckets: ['models'] });
  await putObject(s3, 'loras/m.safetensors');
  const auth = {
    type: 's3',
    access_key_id: s3.accessKeyId,
    secret_access_key: s3.secretAccessKey,
    endpoint: s3.url,
  };
  await using rig = await startFetchRig({ credentials: [{ url_pattern: 's3://models/**', auth }] });
  expect(await rig.fetch('s3://models/loras/m.safetensors')).toMatchObject({ sha256: SHA256 });
});

test('tokens of the environment are meant for their site alone', () => {
  const { credentials } = siteSettings(
    readConfig({ HF_TOKEN: 'a', CIVITAI_TOKEN: 'b', MODEL_CREDENTIALS: '[]' }),
  );
  const meant = (url: string) => credentials.filter(({ isMeant }) => isMeant(url)).length;
  expect(meant('https://huggingface.co/me/repo')).toBe(1);
  expect(meant('https://cdn-lfs.huggingface.co/blob')).toBe(0);
  expect(meant('http://huggingface.co/me/repo')).toBe(0);
  expect(meant('https://civitai.com/api/download/models/1')).toBe(1);
  expect(() => siteSettings(readConfig({ MODEL_CREDENTIALS: '[{"url_pattern": 5}]' }))).toThrow(
    /MODEL_CREDENTIALS must be a list/,
  );
});

async function putObject({ url, accessKeyId, secretAccessKey }: S3Simulator, key: string) {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3');
  const client = new S3Client({
    endpoint: url,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  await client.send(new PutObjectCommand({ Bucket: 'models', Key: key, Body: MODEL }));
  client.destroy();
}
