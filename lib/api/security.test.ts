import { request } from 'node:http';
import { expect, test } from '@jest/globals';
import { readConfig } from '../config.ts';
import type { Job } from '../queues/queue.ts';
import { apiSettings } from './server/settings.ts';
import { startTestApi } from './test-api.ts';

const echo = (job: Job) => ({ got: job.input.value() });

test.each([
  ['Bearer right', 200],
  ['bearer  right ', 200],
  ['right', 200],
  ['Bearer wrong', 401],
  ['Bearer right2', 401],
  ['Bearer ', 401],
  ['Basic right', 401],
  [undefined, 401],
])('with a key, "Authorization: %s" is answered %i', async (authorization, expected) => {
  await using api = await startTestApi({ handler: echo, environment: { API_KEY: 'right' } });
  const headers = authorization === undefined ? {} : { authorization };
  for (const path of ['/runsync', '/v2/ep/runsync']) {
    const { status, body } = await api.call(path, { body: { input: 1 }, headers });
    expect(status).toBe(expected);
    if (expected === 401) expect(body.error).toContain('API key');
  }
});

test('a key guards every operation, and neither page, documentation nor probes', async () => {
  await using api = await startTestApi({ handler: echo, environment: { API_KEY: 'right' } });
  const guarded = ['/health', '/requests', '/status/x', '/stream/x', '/metrics', '/v2/e/health'];
  for (const path of guarded) expect([path, (await api.call(path)).status]).toEqual([path, 401]);
  const open = ['/', '/ping', '/ready', '/openapi.json', '/docs'];
  for (const path of open) expect([path, (await api.call(path)).status]).toEqual([path, 200]);
});

test('a wrong key with a large body is answered, not cut off', async () => {
  await using api = await startTestApi({ handler: echo, environment: { API_KEY: 'right' } });
  const text = JSON.stringify({ input: 'x'.repeat(30_000_000) });
  expect((await api.call('/run', { text })).status).toBe(401);
});

test.each([
  ['localhost', 200],
  ['127.0.0.1:8000', 200],
  ['[::1]:8000', 200],
  ['evil.example', 403],
  ['127.0.0.1.evil.example', 403],
  ['localhost@evil.example', 403],
  ['user@localhost', 403],
  ['localhost/evil', 403],
  ['localhost?evil', 403],
  ['localhost#evil', 403],
])('without a key, a request to the name %s is answered %i', async (host, expected) => {
  await using api = await startTestApi({ handler: echo });
  expect(await statusOf(`${api.url}/health`, { host })).toBe(expected);
});

test.each([
  [{ origin: 'http://evil.example' }, 403],
  [{ origin: 'null' }, 403],
  [{ origin: 'http://127.0.0.1:1' }, 403],
  [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }, 403],
  [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }, 200],
  [{ 'sec-fetch-site': 'same-origin' }, 200],
])('without a key, a request of a page with %j is answered %i', async (headers, expected) => {
  await using api = await startTestApi({ handler: echo });
  expect(await statusOf(`${api.url}/health`, headers)).toBe(expected);
});

test('the page of this API may call it', async () => {
  await using api = await startTestApi({ handler: echo });
  expect(await statusOf(`${api.url}/health`, { origin: api.url })).toBe(200);
});

test('origins are allowed when they are named, and only those', async () => {
  const environment = { API_CORS_ORIGIN: 'https://a.example, https://b.example', API_KEY: 'k' };
  await using api = await startTestApi({ handler: echo, environment });
  const ask = (origin: string) =>
    api.call('/run', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
  const allowed = await ask('https://b.example');
  expect(allowed.status).toBe(204);
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://b.example');
  const other = await ask('https://c.example');
  expect(other.headers.get('access-control-allow-origin')).toBeNull();
});

test('without origins that are named, no header lets a page in', async () => {
  await using api = await startTestApi({ handler: echo });
  const { headers } = await api.call('/health');
  expect(headers.get('access-control-allow-origin')).toBeNull();
});

const settingsOf = (environment: Record<string, string>, place = {}) =>
  apiSettings(readConfig(environment), place);

test('it listens on this machine only, unless something else is said', () => {
  expect(settingsOf({})).toMatchObject({ host: '127.0.0.1', port: 8000, key: undefined });
  expect(settingsOf({ API_HOST: 'localhost', API_PORT: '9000' })).toMatchObject({
    host: 'localhost',
    port: 9000,
  });
  expect(settingsOf({ API_PORT: '9000' }, { host: '127.0.0.2', port: 1 })).toMatchObject({
    host: '127.0.0.2',
    port: 1,
  });
  expect(settingsOf({ SERVE_API_LOCALLY: 'true', API_KEY: 'k' }).host).toBe('0.0.0.0');
});

test.each([
  [{ API_HOST: '0.0.0.0' }, {}],
  [{ API_HOST: '::' }, {}],
  [{ SERVE_API_LOCALLY: 'true' }, {}],
  [{}, { host: '192.168.1.5' }],
])('with %j %j and no key it does not start, and says what to do', (environment, place) => {
  expect(() => settingsOf(environment, place)).toThrow(/API_KEY.*API_ALLOW_UNAUTHENTICATED=true/s);
  const open = { ...environment, API_ALLOW_UNAUTHENTICATED: 'true' };
  expect(settingsOf(open, place).key).toBeUndefined();
});

test('a port that is taken is named', async () => {
  await using api = await startTestApi({ handler: echo });
  const { port } = new URL(api.url);
  await expect(
    startTestApi({ handler: echo, environment: { API_PORT: port } }),
  ).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining(`127.0.0.1:${port}`),
  });
});

/** `fetch` does not let headers of this kind be set. */
function statusOf(url: string, headers: Readonly<Record<string, string>>) {
  return new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
}
