/** Checks the files that make images, with the real tools where they are installed. `npm run test:images` builds them. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
  chmodSync,
  globSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import packageJson from '../../package.json' with { type: 'json' };
import { models } from './model-data.ts';

const read = (path: string) => readFileSync(path, 'utf8');
const dockerfile = read('Dockerfile').replaceAll(/\\\n\s*/g, ' ');
const PINNED = /PINNED_VERSION=(\S+)\nPINNED_COMMIT=([0-9a-f]{40})\n/.exec(
  read('images/comfyui.env'),
);
const SCRIPTS = [
  '.ci/run',
  ...globSync('scripts/{start.sh,restore_snapshot.sh,comfy-*}'),
  ...globSync('scripts/images/*-*').filter((path) => !/\.\w+$/.test(path)),
];

/** Runs a tool that may be missing. @returns undefined when it is. */
function run(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return error ? undefined : { status, stdout, stderr };
}

const hasTool = (command: string, ...args: readonly string[]) => run(command, args)?.status === 0;
const BUILDX = hasTool('buildx', 'version') ? 'buildx' : 'docker';
const bake = (...args: readonly string[]) =>
  run(BUILDX, [...(BUILDX === 'docker' ? ['buildx'] : []), 'bake', '--print', ...args]);
const testWith = (isThere: boolean, tool: string) => {
  if (!isThere) process.stderr.write(`NOTE: ${tool} is not installed; its checks are skipped\n`);
  return isThere ? test : test.skip;
};

interface Target {
  readonly args: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
  readonly target: string;
}

testWith(hasTool(BUILDX, ...(BUILDX === 'docker' ? ['buildx'] : []), 'version'), 'docker buildx')(
  'every target of the bake file resolves, with its tag, and passes only arguments that the Dockerfile declares',
  () => {
    const printed = bake('default', 'cpu');
    expect(printed?.stderr).not.toContain('ERROR');
    const { target: targets } = JSON.parse(printed?.stdout ?? '') as {
      target: Record<string, Target>;
    };
    const names = ['base', 'base-cuda12-8-1', 'cpu', ...models().map(({ name }) => name)];
    expect(Object.keys(targets).sort()).toEqual(names.sort());
    const tags = Object.values(targets)
      .flatMap((target) => target.tags)
      .sort();
    const suffixes = names.map((name) => (name === 'base-cuda12-8-1' ? 'base-cuda12.8.1' : name));
    expect(tags).toEqual(suffixes.map((suffix) => `local/comfyui-worker:latest-${suffix}`).sort());
    const declared = new Set([...dockerfile.matchAll(/^ARG (\w+)/gm)].map(([, name]) => name));
    const stages = [...dockerfile.matchAll(/^FROM .* AS (\S+)/gm)].map(([, name]) => name);
    for (const { args, target } of Object.values(targets)) {
      expect(stages).toContain(target);
      expect(Object.keys(args).filter((name) => !declared.has(name))).toEqual([]);
    }
  },
);

const COMPOSE = hasTool('docker-compose', 'version') ? ['docker-compose'] : ['docker', 'compose'];

testWith(hasTool(COMPOSE[0] ?? '', ...COMPOSE.slice(1), 'version'), 'docker compose')(
  'the compose files are valid, and without a GPU none is asked for',
  () => {
    const config = (...files: readonly string[]) => {
      const args = [...COMPOSE.slice(1), ...files.flatMap((file) => ['-f', file]), 'config'];
      const { status, stdout = '' } = run(COMPOSE[0] ?? '', args) ?? {};
      expect(status).toBe(0);
      return stdout;
    };
    expect(config('docker-compose.yml')).toContain('gpu');
    expect(config('docker-compose.yml', 'docker-compose.cpu.yml')).not.toContain('gpu');
  },
);

testWith(hasTool('hadolint', '--version'), 'hadolint')('hadolint has no complaint', () => {
  const { stdout = '' } = run('hadolint', ['Dockerfile']) ?? {};
  expect(stdout).toBe('');
});

testWith(hasTool('shellcheck', '--version'), 'shellcheck')('shellcheck has no complaint', () => {
  const { stdout = '' } = run('shellcheck', ['-x', ...SCRIPTS]) ?? {};
  expect(stdout).toBe('');
});

test('every file that the Dockerfile copies exists, and the build context has it', () => {
  const ignore = read('.dockerignore').split('\n');
  const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
    ([, paths = '']) => paths.split(' '),
  );
  expect(sources.length).toBeGreaterThan(10);
  for (const path of sources) {
    expect([path, globSync(path).length > 0]).toEqual([path, true]);
    expect(ignore).toContain(`!${path.split('/')[0]}`);
  }
});

test('every argument that a stage uses is declared in it', () => {
  const predefined = new Set(['PATH', 'COMFY_URL', 'PYTHON', 'BASE_IMAGE', 'NODE_IMAGE']);
  for (const stage of dockerfile.split(/^(?=FROM )/m).slice(1)) {
    const declared = new Set([...stage.matchAll(/^ARG (\w+)/gm)].map(([, name]) => name));
    const used = [...stage.matchAll(/\$\{?([A-Z_]+)/g)].map(([, name = '']) => name);
    expect(used.filter((name) => !declared.has(name) && !predefined.has(name))).toEqual([]);
  }
});

test('the arguments of images for the Python worker are all known', () => {
  for (const name of [
    'BASE_IMAGE',
    'COMFYUI_VERSION',
    'CUDA_VERSION_FOR_COMFY',
    'ENABLE_PYTORCH_UPGRADE',
    'PYTORCH_INDEX_URL',
    'MODEL_TYPE',
    'HUGGINGFACE_ACCESS_TOKEN',
  ])
    expect(dockerfile).toMatch(new RegExp(`^ARG ${name}=`, 'm'));
});

test('all files name the same ComfyUI and the same Node', () => {
  const [, version = ''] = PINNED ?? [];
  const versions = [...dockerfile.matchAll(/^ARG COMFYUI_VERSION=(.+)$/gm)].map(([, one]) => one);
  expect(new Set(versions)).toEqual(new Set([version]));
  expect(/"COMFYUI_VERSION" \{\s+default = "(.+)"/.exec(read('docker-bake.hcl'))?.[1]).toBe(
    version,
  );
  expect(existsSync(`images/python/comfyui-${version}.lock`)).toBe(true);
  const nodes = [...(dockerfile + read('docker-bake.json')).matchAll(/\bnode:([\d.]+)/g)].map(
    ([, one]) => one,
  );
  expect(nodes).toEqual([packageJson.devDependencies.node, packageJson.devDependencies.node]);
});

test('the lock has comfy-cli, and ComfyUI-Manager, with which it installs node packs', () => {
  const lock = read(`images/python/comfyui-${PINNED?.[1]}.lock`);
  for (const name of ['comfy-cli', 'comfyui-manager'])
    expect(lock).toMatch(new RegExp(`^${name}==`, 'm'));
});

test('every model file has a size and a hash, or the reason why not', () => {
  const files = models().flatMap((model) => model.files);
  for (const { filename, size, sha256, unverified } of files)
    expect([
      filename,
      (size !== undefined && sha256 !== undefined) || unverified !== undefined,
    ]).toEqual([filename, true]);
  // The same content has the same hash in all images.
  for (const [, same] of Map.groupBy(files, ({ url }) => url))
    expect(new Set(same.map(({ sha256 }) => sha256)).size).toBe(1);
});

test('ComfyUI gets only arguments that the pinned version knows', () => {
  const known = read(`test_resources/comfyui/arguments-${PINNED?.[1]}.txt`).split('\n');
  const command = /COMFY_COMMAND="(.+?)"/.exec(dockerfile)?.[1] ?? '';
  const smoke = /\$COMFY_COMMAND (.+?) >/.exec(read('scripts/comfy-smoke-start'))?.[1] ?? '';
  const compose = /COMFY_ARGS: (.+)/.exec(read('docker-compose.yml'))?.[1] ?? '';
  const passed =
    `${command} ${smoke} ${compose} --extra-model-paths-config`.match(/--[\w-]+/g) ?? [];
  expect(passed.length).toBeGreaterThan(5);
  expect(passed.filter((argument) => !known.includes(argument))).toEqual([]);
});

test('the files for the RunPod Hub agree with the repository', () => {
  const hub = JSON.parse(read('.runpod/hub.json')) as {
    config: { allowedCudaVersions: string[]; containerDiskInGb: number };
  };
  const tests = JSON.parse(read('.runpod/tests.json')) as {
    tests: { input: unknown }[];
    config: { allowedCudaVersions: string[] };
  };
  expect(hub.config.allowedCudaVersions).toEqual(['13.0', '12.9', '12.8', '12.7', '12.6']);
  expect(tests.config.allowedCudaVersions).toEqual(hub.config.allowedCudaVersions);
  expect(tests.tests[0]?.input).toEqual(
    (JSON.parse(read('test_input.json')) as { input: unknown }).input,
  );
  // The Hub builds the Dockerfile's default.
  const model = /^ARG MODEL_TYPE=(.+)$/m.exec(dockerfile)?.[1];
  expect(models().find(({ name }) => name === model)?.disk_gb).toBe(hub.config.containerDiskInGb);
});

/** Runs a script with an own PATH in front: stand-ins for the programs it calls, which print what they are given. */
function runScript(
  script: string,
  args: readonly string[],
  { env = {}, programs = {} }: { env?: Record<string, string>; programs?: Record<string, string> },
) {
  const folder = mkdtempSync(join(tmpdir(), 'script-'));
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const result = run(script, args, { PATH: `${folder}:${process.env.PATH}`, ...env });
  rmSync(folder, { recursive: true });
  return { status: result?.status, output: `${result?.stdout}${result?.stderr}` };
}

const START = {
  'comfyui-worker': 'echo "worker: $COMFY_COMMAND $COMFY_ARGS, workflows $WORKFLOWS_DIR, args $*"',
  'comfy-manager-set-mode': 'exit 0',
};

test.each([
  ['leaves the check of the GPU to the worker', {}, 'worker: comfy , workflows '],
  ['starts in CPU mode', { COMFY_CPU: 'true' }, 'worker: comfy --cpu , workflows '],
  [
    'takes --cpu among the arguments for CPU mode',
    { COMFY_ARGS: '--lowvram --cpu' },
    'worker: comfy --lowvram --cpu, ',
  ],
  ['needs no GPU when somebody else starts ComfyUI', { COMFY_COMMAND: '' }, 'worker:  , '],
  [
    'serves workflows of the network volume',
    { COMFY_CPU: 'true', NETWORK_VOLUME_DIR: 'test_resources' },
    'workflows test_resources/workflows',
  ],
  [
    'does without a network volume',
    { COMFY_CPU: 'true', NETWORK_VOLUME_DIR: '/none' },
    'workflows , args',
  ],
])('start.sh %s', (_, env, text) => {
  const result = runScript('scripts/start.sh', [], {
    env: { COMFY_COMMAND: 'comfy', ...env },
    programs: START,
  });
  expect(result).toEqual({ status: 0, output: expect.stringContaining(text) });
});

test.each([
  ['ends where a GPU is needed and there is none', 'before-start', {}, 1, 'no GPU'],
  ['needs no GPU in CPU mode', 'before-start', { COMFY_CPU: 'true' }, 0, ''],
  ['needs no GPU after the start', 'after-start', {}, 0, ''],
  [
    'fetches the models of the manifest',
    'before-start',
    { COMFY_CPU: 'true', MANIFEST_FILE: 'package.json' },
    0,
    'manifest apply --comfy /comfyui --phase before-start\n',
  ],
])('comfy-prepare %s', (_, phase, env, status, output) => {
  const programs = { 'comfyui-worker': 'echo "$*"', 'gpu-preflight': 'echo no GPU; exit 1' };
  const result = runScript('scripts/comfy-prepare', [phase], {
    env: { MANIFEST_FILE: '/none', ...env },
    programs,
  });
  expect({ ...result, output: result.output.trim() }).toEqual({ status, output: output.trim() });
});

test('comfy-manager-set-mode writes the mode, keeps other settings, and ends with 64 on wrong usage', () => {
  const file = join(mkdtempSync(join(tmpdir(), 'manager-')), 'deep/config.ini');
  const set = (...modes: string[]) =>
    runScript('scripts/comfy-manager-set-mode', modes, { env: { COMFYUI_MANAGER_CONFIG: file } })
      .status;
  expect(set('offline')).toBe(0);
  expect(read(file)).toBe('[default]\nnetwork_mode = offline\n');
  writeFileSync(file, '[default]\nother = 1\nnetwork_mode = public\n');
  expect(set('private')).toBe(0);
  expect(read(file)).toBe('[default]\nother = 1\nnetwork_mode = private\n');
  expect([set(), set('public', 'private'), set('loud')]).toEqual([64, 64, 64]);
});

test('comfy-node-install ends with 64 without a name', () => {
  expect(runScript('scripts/comfy-node-install', [], {}).status).toBe(64);
});

test('the GPU check explains a missing driver, and how to do without', () => {
  const result = run('python3', ['scripts/gpu-preflight']);
  if (existsSync('/proc/driver/nvidia/version')) return;
  expect(result?.status).toBe(1);
  expect(result?.stderr).toMatch(/no NVIDIA driver.*COMFY_CPU=true/);
});

test('every model gets a manifest with exactly its files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'manifests-'));
  execFileSync(process.execPath, ['scripts/images/write-manifests.ts', folder]);
  for (const model of models()) {
    const {
      models: { before_start: files },
    } = JSON.parse(read(join(folder, `${model.name}.yaml`))) as {
      models: { before_start: { url: string }[] };
    };
    expect(files.map(({ url }) => url)).toEqual(model.files.map(({ url }) => url));
  }
  expect(JSON.parse(read(join(folder, 'base.yaml')))).toEqual({ models: { before_start: [] } });
});

test('the table of images in the documentation agrees with the data', () => {
  const page = read('docs/deployment.md');
  for (const { name, files, vram_gb, disk_gb, needs_token } of models()) {
    const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\``)) ?? '';
    const cells = row.split('|').map((cell) => cell.trim());
    const names = files.map(({ filename }) => `\`${filename}\``).join(', ');
    expect(cells.slice(2, 6)).toEqual([
      names,
      `${vram_gb} GB`,
      `${disk_gb} GB`,
      needs_token ? 'yes' : 'no',
    ]);
  }
});
