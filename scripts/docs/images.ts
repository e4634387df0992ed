/** What `docker-bake.hcl` makes. */
import { readFileSync } from 'node:fs';
import { models } from '../images/model-data.ts';

const file = () => readFileSync('docker-bake.hcl', 'utf8');
const modelNames = () => models().map(({ name }) => name);
const found = (pattern: RegExp) => [...file().matchAll(pattern)].map(([, name = '']) => name);

export function bakeTargets(): ReadonlySet<string> {
  return new Set([...found(/^(?:target|group) "([^"_]+)"/gm), ...modelNames()]);
}

/** The last parts of the tags. */
export function imageSuffixes(): string[] {
  return [...found(/tag\("([^"]+)"\)/g), ...modelNames()];
}
