import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';

/** Tables: one subject, many rows. */
const TABLES = new Set(['lib/config.ts', 'lib/errors.ts']);
const MAX_LINES = 300;
const MAX_FILES = 16;

const sources = (await Promise.all(['handler', 'lib', 'scripts'].map(sourcesBelow))).flat();

async function sourcesBelow(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .filter((name) => /\.(?:ts|js)$/.test(name) && !/\.(?:test|d)\.ts$/.test(name))
    .map((name) => join(folder, name));
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const paths = [...text.matchAll(/^(?:import|export)\b[^'"]*?['"](\.[^'"]+)['"]/gm)];
  return paths.map(([, path = '']) => join(dirname(file), path));
}

test('no two files import each other, directly or through others', () => {
  const graph = new Map(sources.map((file) => [file, importsOf(file)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    const at = path.indexOf(file);
    if (at >= 0) cycles.push([...path.slice(at), file].join(' -> '));
    if (at >= 0 || done.has(file)) return;
    for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
    done.add(file);
  };
  for (const file of sources) visit(file, []);
  expect(cycles).toEqual([]);
});

test(`no source file but a table is longer than ${MAX_LINES} lines`, () => {
  const lines = (file: string) => readFileSync(file, 'utf8').split('\n').length - 1;
  const long = sources.filter((file) => !TABLES.has(file) && lines(file) > MAX_LINES);
  expect(long).toEqual([]);
});

test(`no folder has more than ${MAX_FILES} source files at one level`, () => {
  const folders = Map.groupBy(sources, dirname);
  const crowded = [...folders].filter(([, files]) => files.length > MAX_FILES);
  expect(crowded.map(([folder, files]) => `${folder}: ${files.length}`)).toEqual([]);
});
