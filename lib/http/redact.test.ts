import { expect, test } from '@jest/globals';
import { redactLine, redactUrl, withoutPaths, withoutUser } from './redact.ts';

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
  'Failed to fetch image data for a.png from /view endpoint. Cause: 404',
  'Node 4 (Load): image "sub/a.png" is not there; sent: "sub/b.png"',
  '400 Client Error: Bad Request for url: http://comfy.internal:8188/upload/image',
  'see https://docs.example/a/b/c#d/e and s3://bucket/a/b/c.png',
])('%s stays as it is', (text) => expect(withoutPaths(text)).toBe(text));

/** Each with a folder called `secret`, and a last part. */
const PATHS = [
  '/secret/x.png',
  '/comfyui/secret/x.png',
  '/srv/secret/.cache/x-1_2.safetensors',
  '/srv/secret/a/../b/./x.py',
  '/srv/secret/v1.5/x',
  '/srv/secret (copy)/x.png',
  '/srv/secret(1)/x.png',
  '/srv/my secret/x.png',
  '/srv/my secret models/x.png',
  '/srv/данные/secret/x.png',
  '/srv/secret/@eaDir/x+y=z,1;2.png',
  '/proc/1/secret/fd/3',
  '//server/secret/x.png',
  'file:///srv/secret/x.png',
  'file:/srv/secret/x.png',
  'C:\\secret\\x.png',
  'C:\\Users\\secret\\AppData\\x.png',
  'C:\\Program Files\\secret things\\x.png',
  'D:/models/secret/x.ckpt',
  '\\\\server\\secret\\x.png',
  '\\\\?\\C:\\secret\\x.png',
  'C:\\\\Users\\\\secret\\\\x.png',
];

/** Texts as libraries write them; `@` is the path. */
const TEXTS = [
  '@',
  "cannot identify image file '@'",
  'cannot identify image file "@"',
  'cannot identify image file `@`',
  "[Errno 2] No such file or directory: '@'",
  "ENOENT: no such file or directory, open '@'",
  "OSError: [Errno 28] No space left on device: b'@'",
  "'@' -> '@'",
  "PosixPath('@')",
  "<_io.BufferedReader name='@'>",
  'Traceback (most recent call last):\n  File "@", line 3, in f\n    raise ValueError(path)',
  '**** ERROR: Saving image outside the output folder is not allowed.\n full_output_folder: @\n         output_dir: @\n         commonpath: @',
  'path=@',
  '--output-directory=@ --listen',
  '{"path":"@","line":3}',
  '{\\"path\\":\\"@\\"}',
  '(@)',
  '[@]',
  '[Errno 2]@',
  '<@>',
  'line (3):@',
  'a: @: Permission denied',
  'first,@;@|@',
  '“@” and «@»',
  'from http://127.0.0.1:8188/view to @',
  'http://127.0.0.1:8188/view?file=@',
  'image/png at @\nand 24/7 at @\tor @',
];

test.each(TEXTS)('no form of a path shows its folders in: %s', (text) => {
  for (const path of PATHS) {
    const shown = withoutPaths(text.replaceAll('@', () => path));
    expect(shown).not.toMatch(/secret/);
    expect(withoutPaths(shown)).toBe(shown);
    expect(shown).toContain(text.split('@', 1)[0]);
  }
});

test('folders can be left out without a mark', () => {
  expect(withoutPaths("cannot open '/opt/comfyui/models/x.bin'", '')).toBe("cannot open 'x.bin'");
});

test.each([
  [
    'GET https://me:pw@host.example/a.bin?sig=s3cr3t#f failed',
    'GET https://host.example/a.bin failed',
  ],
  ["cannot open '/srv/models/a.bin'", "cannot open 'a.bin'"],
  ['read file:///srv/secret/a.bin', 'read a.bin'],
  ['Authorization: Bearer abc.def-123456', 'Authorization: Bearer [redacted]'],
  ['authorization: Basic dXNlcjpwYXNz', 'authorization: Basic [redacted]'],
  ['Authorization=abcdef', 'Authorization=[redacted]'],
  ['HF_TOKEN=abc next', 'HF_TOKEN=[redacted] next'],
  ['{"api_key": "abc", "seed": 7}', '{"api_key": "[redacted]", "seed": 7}'],
  ["{'x-api-key': 'abc'}", "{'x-api-key': '[redacted]'}"],
  ['my password is none; password: hunter2', 'my password is none; password: [redacted]'],
  ['client_secret=a&grant=b', 'client_secret=[redacted]&grant=b'],
  ['login with hf_abcdefghijklmnop', 'login with [redacted]'],
  ['sk-abcdefghijklmnop, AKIAABCDEFGHIJKLMNOP', '[redacted], [redacted]'],
  ['jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc', 'jwt [redacted]'],
])('of the line %s of a log nothing secret is shown', (line, shown) => {
  expect(redactLine(line)).toBe(shown);
  expect(redactLine(shown)).toBe(shown);
});

test.each([
  'Requested to load SDXL',
  '100%|####| 20/20 [00:01<00:00, 12.5it/s]',
  'got prompt, 77 tokens per chunk',
  'RuntimeError: mat1 and mat2 shapes cannot be multiplied (77x2048 and 768x320)',
  'see https://docs.example/a/b',
])('the line %s of a log stays as it is', (line) => expect(redactLine(line)).toBe(line));

test('given values are not shown, also when they occur twice or have characters of patterns', () => {
  const line = 'key a.b*c was refused (a.b*c); axbbc';
  expect(redactLine(line, ['a.b*c', ''])).toBe('key [redacted] was refused ([redacted]); axbbc');
});

test('a line without a space is redacted in no time', () => {
  for (const part of ['token', 'bearer ', 'http://', 'eyJ', 'password=', '"api_key"'])
    expect(redactLine(part.repeat(1000)).length).toBeLessThan(20_000);
});

test('a long text of slashes is read in no time', () => {
  const text = `file:${'/'.repeat(300_000)} ${'-/'.repeat(300_000)} ${"'/".repeat(300_000)}`;
  expect(withoutPaths(text)).toMatch(/^file:/);
  for (const part of ['a', 'a b ', '"/', 'C:\\', 'a:/', '/a b', '(/', '\\a ', 'http://'])
    expect(typeof withoutPaths(part.repeat(100_000))).toBe('string');
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
