import { expect, test } from '@jest/globals';
import { keyTemplateProblem, monthBucket, objectKey } from './key.ts';

const noon = (year: number, month: number, day: number) =>
  new Date(year, month - 1, day, 12).getTime();
const file = {
  jobId: 'job-1-u1',
  nodeId: '9',
  filename: 'ComfyUI_00001_.png',
  index: 0,
  sha256: 'ab',
};
const keyOf = (template: string, changes: Partial<typeof file & { uniqueName: string }> = {}) => {
  const changed = { ...file, ...changes };
  return objectKey(template, { uniqueName: changed.filename, ...changed }, noon(2026, 3, 7));
};

const DEFAULT_TEMPLATE = '{job_id}/{random}{ext}';

test('the default key is the job, eight hex digits and the extension', () => {
  expect(keyOf(DEFAULT_TEMPLATE)).toMatch(/^job-1-u1\/[0-9a-f]{8}\.png$/);
});

test.each([
  ['photo.JPG', '.JPG'],
  ['archive.tar.gz', '.gz'],
  ['no-extension', '.png'],
  ['ends-with.', '.png'],
])('%s is stored with %s', (filename, ext) => {
  expect(keyOf('{ext}', { filename })).toBe(ext);
});

test('a file of a job has the same key on every run', () => {
  expect(keyOf(DEFAULT_TEMPLATE)).toBe(keyOf(DEFAULT_TEMPLATE));
});

test.each([
  { jobId: 'job-2' },
  { nodeId: '8' },
  { filename: 'a.png' },
  { index: 1 },
  { sha256: 'cd' },
])('a file that differs by %j has a key of its own', (changes) =>
  expect(keyOf('{random}', changes)).not.toBe(keyOf('{random}')),
);

test('a template can use every variable', () => {
  expect(keyOf('out/{date}/{year}-{month}-{day}/{index}-{name}{ext}-{filename}')).toBe(
    'out/2026-03-07/2026-03-07/0-ComfyUI_00001_.png-ComfyUI_00001_.png',
  );
});

test('two files of a job with the same name do not get the same key', () => {
  const second = { uniqueName: '1-ComfyUI_00001_.png' };
  expect(keyOf('{job_id}/{filename}', second)).toBe('job-1-u1/1-ComfyUI_00001_.png');
  expect(keyOf('{job_id}/{name}{ext}', second)).toBe('job-1-u1/1-ComfyUI_00001_.png');
});

test('names in any script and with blanks are kept', () => {
  expect(keyOf('{filename}', { filename: 'ein schönes Bild 画像.png' })).toBe(
    'ein schönes Bild 画像.png',
  );
});

test.each([
  ['../../etc/passwd', '.._.._etc_passwd'],
  ['..', '__'],
  ['a\\b?c#d%e&f.png', 'a_b_c_d_e_f.png'],
  ['tab\tand\u0000nul.png', 'tab_and_nul.png'],
])('%j cannot leave its place in the key', (filename, key) => {
  expect(keyOf('{filename}', { filename })).toBe(key);
});

test('a variable in a name is not filled in', () => {
  expect(keyOf('{filename}', { filename: '{job_id}.png' })).toBe('_job_id_.png');
});

test('slashes at the ends and in a row make no empty folder', () => {
  expect(keyOf('/a//{index}/')).toBe('a/0');
});

test('a template cannot leave the bucket', () => {
  expect(keyOf('../{index}')).toBe('__/0');
});

test('a template is checked at the start', () => {
  expect(keyTemplateProblem(DEFAULT_TEMPLATE)).toBeUndefined();
  expect(keyTemplateProblem('{job}/{random}')).toMatch(
    /^does not know \{job\}; known are \{job_id\}/,
  );
  expect(keyTemplateProblem('{job_id/{random}')).toMatch(/brace/);
  expect(keyTemplateProblem('{job_id}{ext}')).toMatch(/same key/);
});

test('the month is two digits, then the year is two digits', () => {
  expect(monthBucket(noon(2026, 11, 20))).toBe('11-26');
  expect(monthBucket(noon(2030, 1, 1))).toBe('01-30');
});
