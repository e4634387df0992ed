import { expect, test } from '@jest/globals';
import { redactUrl, withoutPaths, withoutUser } from './redact.ts';

test.each([
  ['https://u:p@host.example:8443/a/b?X-Amz-Signature=s#f', 'https://host.example:8443/a/b'],
  [
    'https://account.blob.core.windows.net/c/a.png?sv=1&sig=secret',
    'https://account.blob.core.windows.net/c/a.png',
  ],
  ['http://token@host/', 'http://host/'],
  ['s3://bucket/a%20b.png?versionId=1', 's3://bucket/a%20b.png'],
  ['http://[::1]:8188/view', 'http://[::1]:8188/view'],
  ['secret, and not a URL', '(not a URL)'],
])('of %s only scheme, host and path are shown', (url, shown) => {
  expect(redactUrl(url)).toBe(shown);
  if (URL.canParse(url)) expect(redactUrl(new URL(url))).toBe(shown);
});

test.each([
  ["cannot open '/srv/worker/secret/model.bin'", "cannot open '…/model.bin'"],
  ['cannot open "/srv/my models/a b.bin" now', 'cannot open "…/a b.bin" now'],
  ['/root/x', '…/x'],
  ['File "/comfyui/execution.py", line 3', 'File "…/execution.py", line 3'],
  ['path=/a/b/c', 'path=…/c'],
  ['(/a/b/c) and /d/e/', '(…/c) and …/'],
  ['failed:/opt/comfyui/x.py', 'failed:…/x.py'],
  ['PATH is /usr/bin:/usr/local/bin', 'PATH is …/bin'],
  ['~/.cache/hub/x', '~…/x'],
  ['//server/share/x', '…/x'],
  ['file:///srv/app/index.ts:3', '…/index.ts:3'],
  ['file:///C:/app/index.ts', '…/index.ts'],
  ['C:\\Users\\me\\x.png', '…/x.png'],
  ["'C:\\\\Users\\\\My Name\\\\x.png'", "'…/x.png'"],
  ['D:/models/x.ckpt', '…/x.ckpt'],
  ['\\\\server\\share\\x', '…/x'],
  ['/данные/секрет/x', '…/x'],
])('%s loses its folders', (text, shown) => expect(withoutPaths(text)).toBe(shown));

test.each([
  '[GET] https://host.example:8443/a/b/c.png: 404 Not Found',
  'http://127.0.0.1:8188/upload/image and http://[::1]/a/b/c',
  's3://bucket/folder/a.png',
  '[POST] "/prompt": 503',
  'models/checkpoints/a.safetensors is not installed',
  './a/b or ../a/b',
  'image/png, 24/7, and/or, 12/31/2026',
])('%s stays as it is', (text) => expect(withoutPaths(text)).toBe(text));

test('folders can be left out without a mark', () => {
  expect(withoutPaths("cannot open '/opt/comfyui/models/x.bin'", '')).toBe("cannot open 'x.bin'");
});

test('a long text of slashes is read in no time', () => {
  const text = `file:${'/'.repeat(300_000)} ${'-/'.repeat(300_000)} ${"'/".repeat(300_000)}`;
  expect(withoutPaths(text)).toMatch(/^file:/);
});

test.each([
  ['http://host/a?q=1', 'http://host/a?q=1', {}],
  ['http://me:pa%20ss@host/a', 'http://host/a', { authorization: `Basic ${btoa('me:pa ss')}` }],
  ['http://me@host/a', 'http://host/a', { authorization: `Basic ${btoa('me:')}` }],
  ['http://me:50%@host/a', 'http://host/a', { authorization: `Basic ${btoa('me:50%')}` }],
])('user and password of %s go into a header', (sent, href, headers) => {
  const { url, headers: own } = withoutUser(new URL(sent));
  expect(url.href).toBe(href);
  expect(own).toEqual(headers);
});
