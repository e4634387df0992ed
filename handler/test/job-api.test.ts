import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { startExampleWorld } from './rigs/example-world.ts';
import { readExamples } from './rigs/job-examples.ts';

const DOCUMENTS = await Promise.all(
  ['README.md', 'docs/job-api.md'].map((path) => readFile(path, 'utf8')),
);
const EXAMPLES = DOCUMENTS.flatMap(readExamples);

test.each(EXAMPLES)('$title is as the document says', async (example) => {
  await using world = await startExampleWorld(example);
  const posted = await world.run();
  expect(posted).toEqual(toMatcher(world.expected));
  for (const url of urlsIn(posted)) expect((await fetch(url)).status).toBe(200);
});

test('every block of a job has been found', () => {
  expect(DOCUMENTS.join('').match(/^```json job$/gm)).toHaveLength(EXAMPLES.length);
});

/** Three dots stand for any text, alone for any value, and as a key for whatever else is there. */
function toMatcher(expected: unknown): unknown {
  if (expected === '...') return expect.anything();
  if (typeof expected === 'string') return textMatcher(expected);
  if (Array.isArray(expected)) return expected.map(toMatcher);
  if (typeof expected !== 'object' || expected === null) return expected;
  const { '...': more, ...known } = expected as Record<string, unknown>;
  const matchers = Object.entries(known).map(([key, value]) => [key, toMatcher(value)] as const);
  const object = Object.fromEntries(matchers);
  return more === undefined ? object : expect.objectContaining(object);
}

function textMatcher(expected: string): unknown {
  if (!expected.includes('...')) return expected;
  const parts = expected.split('...').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return expect.stringMatching(new RegExp(`^${parts.join('.*')}$`, 's'));
}

/** The URLs that a client would download. */
function urlsIn(posted: unknown): string[] {
  const texts = JSON.stringify(posted).matchAll(/"data":"(https?:[^"]+)"/g);
  return [...texts].map(([, url = '']) => url);
}
