/**
 * Writes for each model of `docker-bake.json`, and for images without models: its manifest (NAME.yaml) and its node packs
 * (NAME.nodes). Usage: write-manifests.ts FOLDER
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { models } from './model-data.ts';

const folder = process.argv[2] ?? 'manifests';
await mkdir(folder, { recursive: true });
const none = { name: 'base', nodes: [], files: [] };
for (const { name, nodes, files } of [none, ...models()]) {
  const manifest = {
    models: {
      before_start: files.map(({ url, folder, filename, size, sha256 }) => ({
        ...{ url, folder, filename, size, sha256 },
      })),
    },
  };
  // JSON is YAML.
  await writeFile(join(folder, `${name}.nodes`), nodes.map((node) => `${node}\n`).join(''));
  await writeFile(join(folder, `${name}.yaml`), `${JSON.stringify(manifest, null, 2)}\n`);
}
