import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { systemClock } from '../clock.ts';
import { readConfig } from '../config.ts';
import { createLog } from '../log.ts';
import { openStorage } from './open-storage.ts';

async function opened(environment: Record<string, string>) {
  const destination = new PassThrough();
  const log = await createLog({ level: 'info', format: 'json', destination });
  const storage = openStorage(readConfig(environment), { clock: systemClock, log });
  await storage?.[Symbol.asyncDispose]();
  return { storage, lines: String(destination.read() ?? '') };
}

test('without bucket settings nothing is opened and nothing said', async () => {
  expect(await opened({})).toEqual({ storage: undefined, lines: '' });
});

test('a bucket without an endpoint is warned about, without showing keys', async () => {
  const { storage, lines } = await opened({
    BUCKET_NAME: 'pictures',
    BUCKET_SECRET_ACCESS_KEY: 'hush-hush',
  });
  expect(storage).toBeUndefined();
  expect(lines).toMatch(/"level":"WARN".*"ignored":\["BUCKET_SECRET_ACCESS_KEY","BUCKET_NAME"\]/);
  expect(lines).not.toContain('hush');
});

test('a bucket that is never used never connects', async () => {
  const { storage, lines } = await opened({
    BUCKET_ENDPOINT_URL: 'http://127.0.0.1:9',
    BUCKET_ACCESS_KEY_ID: 'id',
    BUCKET_SECRET_ACCESS_KEY: 'secret',
  });
  expect(storage).toBeDefined();
  expect(lines).toBe('');
});
