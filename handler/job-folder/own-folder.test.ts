import { expect, test } from '@jest/globals';
import { OwnFolders } from './own-folder.ts';

test('the first run of a job has the same folder everywhere, and each further one its own', () => {
  const folders = new OwnFolders();
  expect(folders.next('a-u1')).toBe('jobs/a-u1');
  expect(folders.next('b-u1')).toBe('jobs/b-u1');
  expect(folders.next('a-u1')).toBe('jobs/a-u1.2');
  expect(folders.next('a-u1')).toBe('jobs/a-u1.3');
  expect(new OwnFolders().next('a-u1')).toBe('jobs/a-u1');
});

test.each([
  '',
  '..',
  '../x',
  'a/b',
  'a\\b',
  '%width%',
  'a"b',
  '.a',
  '-a',
  'ä',
  'a.2',
  'x'.repeat(101),
])('the id %j gives a folder that means nothing to a path, to ComfyUI or to JSON', (jobId) => {
  expect(new OwnFolders().next(jobId)).toMatch(/^jobs\/[0-9a-f]{32}$/);
});
