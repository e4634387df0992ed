/**
 * Fills in what only the registries know, for reproducible images:
 *
 * - base images get their digest: in `Dockerfile` and `docker-bake.json`
 * - models get revision, size and SHA-256 from Hugging Face's answers: in `docker-bake.json`
 * - Python packages get lock files with hashes: `images/python/*.lock`
 *
 * Usage: node scripts/images/pin.ts [images] [models] [python]; all three when none is named. CI runs it every week and proposes
 * the changes. Needs `docker buildx` for the images and `uv` for Python; HF_TOKEN for gated models.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { request } from 'undici';
import { MODEL_DATA, models } from './model-data.ts';

const TASKS: Readonly<Record<string, () => Promise<void> | void>> = {
  images: pinImages,
  models: pinModels,
  python: pinPython,
};

const named = process.argv.slice(2);
for (const name of named.length > 0 ? named : Object.keys(TASKS)) {
  const task = TASKS[name];
  if (!task) throw new Error(`${name} is none of ${Object.keys(TASKS).join(', ')}`);
  await task();
}

/** `name:tag`, or `name:tag@digest` from an earlier run, becomes `name:tag@digest` of today. */
function pinImages(): void {
  const pattern = /\b((?:nvidia\/cuda|node|ubuntu):[\w.-]+)(?:@sha256:[0-9a-f]{64})?/g;
  const digests = new Map<string, string>();
  for (const file of ['Dockerfile', MODEL_DATA]) {
    const pinned = readFileSync(file, 'utf8').replaceAll(pattern, (_, image: string) => {
      const digest = digests.get(image) ?? digestOf(image);
      digests.set(image, digest);
      return `${image}@${digest}`;
    });
    writeFileSync(file, pinned);
  }
}

function digestOf(image: string): string {
  const args = ['buildx', 'imagetools', 'inspect', image, '--format', '{{.Manifest.Digest}}'];
  const digest = execFileSync('docker', args, { encoding: 'utf8' }).trim();
  if (!/^sha256:[0-9a-f]{64}$/.test(digest)) throw new Error(`${image} has no digest: ${digest}`);
  return digest;
}

/** A file that is pinned already must still have its size and hash. */
async function pinModels(): Promise<void> {
  let text = readFileSync(MODEL_DATA, 'utf8');
  const files = models().flatMap((model) => model.files);
  for (const file of files) {
    const facts = await factsOf(file.url);
    if (file.sha256 !== undefined && file.sha256 !== facts.sha256)
      throw new Error(`${file.url} has changed: SHA-256 ${facts.sha256}, not ${file.sha256}`);
    const pinnedUrl = file.url.replace(/\/resolve\/[^/]+\//, `/resolve/${facts.revision}/`);
    const before = file.unverified ? `"unverified": ${JSON.stringify(file.unverified)}` : undefined;
    const at = text.indexOf(JSON.stringify(file.url));
    const end = text.indexOf('}', at);
    let block = text.slice(at, end).replace(file.url, pinnedUrl);
    if (before !== undefined)
      block = block.replace(
        before,
        `"size": ${facts.size},\n              "sha256": "${facts.sha256}"`,
      );
    text = text.slice(0, at) + block + text.slice(end);
  }
  writeFileSync(MODEL_DATA, text);
  models(); // still parses
}

/** The headers of Hugging Face's redirect: for large files the ETag is the SHA-256 of the content. */
async function factsOf(url: string) {
  const token = process.env.HF_TOKEN;
  const { statusCode, headers, body } = await request(url, {
    method: 'HEAD',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  await body.dump();
  const sha256 = String(headers['x-linked-etag']).replaceAll('"', '');
  const size = Number(headers['x-linked-size']);
  const revision = String(headers['x-repo-commit']);
  if (statusCode >= 400 || !/^[0-9a-f]{64}$/.test(sha256) || !/^[0-9a-f]{40}$/.test(revision))
    throw new Error(
      `${url} answered ${statusCode}${statusCode < 404 ? '; is HF_TOKEN set, and the licence accepted?' : ''}`,
    );
  return { sha256, size, revision };
}

/** Locks for Python 3.12 on Linux: ComfyUI's own requirements with our tools, and PyTorch for each kind of image. */
function pinPython(): void {
  const folder = mkdtempSync(join(tmpdir(), 'pin-'));
  const pinned = readFileSync('images/comfyui.env', 'utf8');
  const version = /^PINNED_VERSION=(.+)$/m.exec(pinned)?.[1] ?? '';
  const repository = 'https://github.com/comfyanonymous/ComfyUI.git';
  const source = join(folder, 'comfyui');
  execFileSync('sh', ['scripts/images/fetch-comfyui', repository, version, source], {
    stdio: 'inherit',
    env: { ...process.env, COMFYUI_ENV: './images/comfyui.env' },
  });
  for (const flavour of ['cu126', 'cu128', 'cpu']) {
    const index = `https://download.pytorch.org/whl/${flavour}`;
    compile(`torch-${flavour}.lock`, ['images/python/torch.in', '--default-index', index]);
  }
  // PyTorch and its CUDA packages are in their own locks.
  const own = [
    ...readFileSync('images/python/torch-cu126.lock', 'utf8').matchAll(/^([a-z0-9-]+)==/gm),
  ]
    .map(([, name = '']) => name)
    .filter((name) => /^(?:torch|triton|nvidia)/.test(name));
  compile(`comfyui-${version}.lock`, [
    join(source, 'requirements.txt'),
    join(source, 'manager_requirements.txt'),
    'images/python/tools.in',
    'images/python/torch.in',
    ...own.flatMap((name) => ['--no-emit-package', name]),
  ]);
  rmSync(folder, { recursive: true });
}

function compile(lock: string, args: readonly string[]): void {
  const path = join('images/python', lock);
  const platform = ['--python-version', '3.12', '--python-platform', 'x86_64-manylinux_2_39'];
  const form = ['--generate-hashes', '--no-annotate', '--no-header', '--quiet'];
  execFileSync('uv', ['pip', 'compile', ...platform, ...form, ...args, '--output-file', path], {
    stdio: 'inherit',
  });
  writeFileSync(
    path,
    `# Made by scripts/images/pin.ts. PyTorch has its own locks.\n${readFileSync(path, 'utf8')}`,
  );
}
