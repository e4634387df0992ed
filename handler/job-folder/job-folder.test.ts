import { expect, test } from '@jest/globals';
import { LOCAL_CAPABILITIES } from '../../lib/comfy/local/local-comfy.ts';
import { silentLog } from '../../lib/comfy/test-comfy.ts';
import { InputLeases } from '../inputs/input-leases.ts';
import { FileLedger } from './file-ledger.ts';
import { JobFolders } from './job-folder.ts';

const openFolders = () => {
  const root = () => Promise.resolve(undefined);
  const capabilities = { ...LOCAL_CAPABILITIES, pathPrefix: '' };
  const comfy = { capabilities, inputFolder: root, outputFolder: root, describeNodes: root };
  const ledger = new FileLedger({ folder: '/nonexistent', log: silentLog });
  return new JobFolders({ comfy, mode: 'auto', ledger, leases: new InputLeases() });
};

test('the first run of a job has the same folder on every worker, and each later run has its own', () => {
  const folders = openFolders();
  expect(folders.nextPath('a-u1')).toBe('jobs/a-u1');
  expect(folders.nextPath('b-u1')).toBe('jobs/b-u1');
  expect(folders.nextPath('a-u1')).toBe('jobs/a-u1.2');
  expect(folders.nextPath('a-u1')).toBe('jobs/a-u1.3');
  expect(openFolders().nextPath('a-u1')).toBe('jobs/a-u1');
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
])(
  'the job id %j gives a folder name without special meaning to paths, ComfyUI or JSON',
  (jobId) => {
    expect(openFolders().nextPath(jobId)).toMatch(/^jobs\/[0-9a-f]{32}$/);
  },
);
