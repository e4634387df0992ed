import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

/** The rows of docs/security.md: threat, test file, name of the test. */
const rows = readFileSync('docs/security.md', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('|') && line.includes('.test.ts`'))
  .map((line) => {
    const [, threat = '', file = '', name = ''] = line.split('|').map((cell) => cell.trim());
    return { threat, file: file.replaceAll('`', ''), name };
  });

test('every threat in docs/security.md names a test that exists', () => {
  const wrong = rows.filter(({ file, name }) => {
    if (name === '' || !existsSync(file)) return true;
    return !readFileSync(file, 'utf8').includes(name);
  });
  expect(wrong).toEqual([]);
  expect(rows.length).toBeGreaterThan(50);
});
