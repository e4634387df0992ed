import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import packageJson from '../package.json' with { type: 'json' };

test('all files name the same version of Node', async () => {
  const pinned = (await readFile('.node-version', 'utf8')).trim();
  expect(packageJson.devDependencies.node).toBe(pinned);
  expect(process.versions.node).toBe(pinned);
  expect(packageJson.engines.node).toBe(`>=${pinned.split('.')[0]}`);
});
