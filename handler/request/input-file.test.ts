import { expect, test } from '@jest/globals';
import { FileNameSchema, SubfolderSchema } from './input-file.ts';

const isName = (name: string) => FileNameSchema.safeParse(name).success;
const isFolder = (name: string) => SubfolderSchema.safeParse(name).success;

test.each(['a.png', 'ä ö.mp4', '..a', 'a..b', '.hidden', `${'x'.repeat(251)}.png`])(
  '%j is a file name',
  (name) => expect(isName(name)).toBe(true),
);

test.each([
  '',
  ' ',
  '.',
  '..',
  'a/b',
  '/a',
  'a\\b',
  '..\\a',
  'a\0',
  'a\nb',
  'a"b',
  'x'.repeat(256),
  'ä'.repeat(128),
])('%j is not a file name', (name) => expect(isName(name)).toBe(false));

test.each([
  ['', ''],
  ['a', 'a'],
  ['a/b c/', 'a/b c'],
])('%j is a folder below the input folder: %j', (sent, folder) => {
  expect(SubfolderSchema.parse(sent)).toBe(folder);
});

test.each(['..', 'a/..', '../a', '/a', 'a//b', './a', 'a\\..\\b', 'a/\0'])(
  '%j is not a folder',
  (name) => {
    expect(isFolder(name)).toBe(false);
  },
);
