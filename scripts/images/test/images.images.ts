/**
 * Builds the real Dockerfile and runs its image, without a Docker engine and without a network. ComfyUI is a stand-in.
 * Run by `npm run test:images`; needs root, buildah, debootstrap and python3.
 */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { safetensors } from '../../../lib/models/test-models.ts';
import { startFileServer } from '../../../lib/simulator/stand-ins/files.ts';
import {
  BASE_IMAGE,
  NODE_IMAGE,
  buildah,
  buildImage,
  imageConfig,
  importBaseImages,
  mountImage,
  removeStore,
} from './buildah.ts';
import { freePort } from '../../../lib/http/test-free-port.ts';
import { Container } from './container.ts';

const IMAGE = 'localhost/comfyui-worker';
const SECRET = 'hf_this-token-must-not-be-in-a-layer';
const scratch = mkdtempSync(join(tmpdir(), 'comfyui-worker-images-'));
/** The files of the image; no process runs in this copy. */
let root = '';
const jobText = readFileSync('test_input.json', 'utf8');

beforeAll(() => {
  importBaseImages();
  execFileSync('python3', ['scripts/images/test/make-wheels.py', join(scratch, 'locks')]);
  writeFileSync(join(scratch, 'secret'), SECRET);
  const built = buildImage(IMAGE, [
    ...['--build-arg', `BASE_IMAGE=${BASE_IMAGE}`, '--build-arg', `NODE_IMAGE=${NODE_IMAGE}`],
    ...['--build-arg', 'PYTHON=python3.11', '--build-arg', 'MODEL_TYPE=base'],
    ...[
      '--build-arg',
      'SYSTEM_PACKAGES=git wget ca-certificates openssh-server tini libtcmalloc-minimal4',
    ],
    ...['--build-context', 'comfyui-source=scripts/images/test/comfyui'],
    ...['--build-context', `python-locks=${join(scratch, 'locks')}`],
    ...['--build-context', 'node-modules=node_modules'],
    ...['--secret', `id=HUGGINGFACE_ACCESS_TOKEN,src=${join(scratch, 'secret')}`],
    '.',
  ]);
  if (built.code !== 0) throw new Error(built.output);
  root = mountImage(IMAGE);
}, 900_000);

afterAll(() => {
  removeStore();
  rmSync(scratch, { recursive: true, force: true });
});

test('the image keeps what Dockerfiles on top of it rely on', () => {
  const { Env, Cmd, Entrypoint, WorkingDir, User } = imageConfig(IMAGE);
  expect({ Cmd, Entrypoint, WorkingDir, User }).toEqual({
    Cmd: ['/start.sh'],
    Entrypoint: ['tini', '--'],
    WorkingDir: '/',
    User: '',
  });
  expect(Env).toContain('VIRTUAL_ENV=/opt/venv');
  expect(Env.find((line) => line.startsWith('PATH='))).toMatch(/^PATH=\/opt\/venv\/bin:/);
  for (const path of [
    ...['start.sh', 'handler.py', 'test_input.json', 'comfyui/main.py', 'opt/venv/bin/python'],
    ...[
      'usr/local/bin/comfy-node-install',
      'usr/local/bin/comfy-manager-set-mode',
      'comfyui/models/checkpoints',
    ],
  ])
    expect([path, existsSync(join(root, path))]).toEqual([path, true]);
});

test('the image has labels and a health check', () => {
  const { Labels, Healthcheck } = imageConfig(IMAGE);
  expect(Labels['org.opencontainers.image.licenses']).toBe('MIT');
  expect(Healthcheck?.Test[0]).toBe('CMD');
});

test('no SSH host key, no cache of packages and no build secret is in the image', () => {
  expect(readdirSync(join(root, 'etc/ssh')).filter((name) => name.startsWith('ssh_host'))).toEqual(
    [],
  );
  const found = execFileSync('sh', ['-c', `grep -rIl -- '${SECRET}' ${root} || true`], {
    encoding: 'utf8',
  });
  expect(found).toBe('');
  expect(buildah('inspect', '--type', 'image', IMAGE)).not.toContain(SECRET);
});

test('the worker and its packages take at most 60 MB, and Node comes on top', () => {
  const worker = join(root, 'opt/comfyui-worker');
  const megabytes = (path: string) =>
    Number(
      execFileSync('du', ['-sm', '--exclude=bin/node', path], { encoding: 'utf8' }).split('\t')[0],
    );
  expect(megabytes(worker)).toBeLessThanOrEqual(60);
});

test('a container runs a job, survives the death of ComfyUI, and ends on SIGTERM', async () => {
  const { environment, post, url } = await localApi();
  await using container = Container.start(IMAGE, { ...environment, COMFY_CPU: 'true' });
  await container.until('the API answers', () => answers(`${url}/ping`));

  const processes = container.processes();
  expect(processes.find(({ pid }) => pid === 1)?.command).toMatch(/^tini -- \/start\.sh/);
  const worker = processes.find(
    ({ command }) =>
      command.includes('/opt/comfyui-worker/bundle/index.js') && !command.includes(' comfy '),
  );
  expect(worker?.uid).toBe(0);
  expect(readFileSync(`/proc/${worker?.hostPid}/maps`, 'utf8')).toContain('libtcmalloc');

  const first = await post(jobText);
  expect(first).toMatchObject({
    status: 'COMPLETED',
    output: { images: [{ type: 'base64' }] },
  });

  const second = post(jobText.replace(/"steps": \d+/, '"steps": 100'));
  await container.until(
    'the second job runs',
    () => container.output.split('Inputs staged').length === 3,
  );
  const comfy = Number(readFileSync(join(container.root, 'tmp/comfyui.pid'), 'utf8'));
  const running = container.processes().find(({ pid }) => pid === comfy);
  expect(running).toBeDefined();
  if (running) process.kill(running.hostPid, 'SIGKILL');
  expect(await second).toMatchObject({ status: 'COMPLETED' });
  expect(container.output).toContain('ComfyUI is restarted');

  process.kill(container.init, 'SIGTERM');
  expect(await container.exitCode()).toBe(0);
});

test('with COMFY_USER, ComfyUI runs as that user and a job works', async () => {
  const { environment, post, url } = await localApi();
  await using container = Container.start(IMAGE, {
    ...environment,
    COMFY_CPU: 'true',
    COMFY_USER: 'comfy',
  });
  await container.until('the API answers', () => answers(`${url}/ping`));
  expect(await post(jobText)).toMatchObject({ status: 'COMPLETED' });
  const comfy = container.processes().find(({ command }) => command.includes(' comfy '));
  expect(comfy?.uid).toBeGreaterThanOrEqual(1000);
});

test('without a GPU the container ends, and says how to run on the CPU', async () => {
  await using container = Container.start(IMAGE);
  expect(await container.exitCode()).toBe(1);
  expect(container.output).toContain('There is no NVIDIA driver in this container');
  expect(container.output).toContain('COMFY_CPU=true');
});

test('with PUBLIC_KEY, an SSH server has keys of its own', async () => {
  const { environment, url } = await localApi();
  await using container = Container.start(IMAGE, {
    ...environment,
    COMFY_CPU: 'true',
    PUBLIC_KEY: 'ssh-ed25519 AAAA test',
  });
  await container.until('the API answers', () => answers(`${url}/ping`));
  expect(readFileSync(join(container.root, 'root/.ssh/authorized_keys'), 'utf8')).toBe(
    'ssh-ed25519 AAAA test\n',
  );
  expect(readdirSync(join(container.root, 'etc/ssh'))).toContain('ssh_host_ed25519_key');
});

test('a Dockerfile as users write it builds on the image and runs', async () => {
  await using server = await startFileServer({
    files: { '/a.safetensors': { content: safetensors(1000) } },
  });
  const context = derivedContext([
    'FROM localhost/comfyui-worker',
    'COPY git-pack /packs/git-pack',
    'RUN comfy-node-install some-pack file:///packs/git-pack@main',
    'COPY my_snapshot.json /',
    'RUN /restore_snapshot.sh',
    `RUN echo 'models: {before_start: [{url: "${server.url}/a.safetensors", folder: vae}], after_start: []}' > /manifest.yaml`,
    'COPY model.safetensors /comfyui/models/checkpoints/',
    'COPY extra_model_paths.yaml /comfyui/',
    'COPY input/ /comfyui/input/',
  ]);
  const built = buildImage('localhost/derived', [context]);
  expect([built.code, built.output]).toEqual([
    0,
    expect.stringContaining('every node pack is imported'),
  ]);
  const { environment, post, url } = await localApi();
  await using container = Container.start('localhost/derived', {
    ...environment,
    COMFY_CPU: 'true',
  });
  await container.until('the API answers', () => answers(`${url}/ping`));
  for (const path of [
    'models/checkpoints/model.safetensors',
    'extra_model_paths.yaml',
    'custom_nodes/some-pack/__init__.py',
    'custom_nodes/git-pack/__init__.py',
    'custom_nodes/snapshot-pack/__init__.py',
    'models/vae/a.safetensors',
  ])
    expect([path, existsSync(join(container.root, 'comfyui', path))]).toEqual([path, true]);
  expect(await post(jobText)).toMatchObject({ status: 'COMPLETED' });
});

test.each([
  ['a pack that cannot be imported', 'broken-pack', 'No module named'],
  ['a pack that is not in the registry', 'no-such-pack', 'could not be installed'],
])('%s stops the build of an image, with its name', (_, pack, reason) => {
  const { code, output } = buildImage('localhost/broken', [
    derivedContext(['FROM localhost/comfyui-worker', `RUN comfy-node-install ${pack}`]),
  ]);
  expect(code).not.toBe(0);
  expect(output).toContain(pack);
  expect(output).toContain(reason);
});

/** A folder with a Dockerfile of these lines, and files that it copies. */
function derivedContext(lines: readonly string[]): string {
  const folder = mkdtempSync(join(scratch, 'derived-'));
  writeFileSync(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
  writeFileSync(join(folder, 'model.safetensors'), 'weights');
  writeFileSync(
    join(folder, 'extra_model_paths.yaml'),
    'mine:\n  base_path: /data\n  checkpoints: checkpoints/\n',
  );
  writeFileSync(
    join(folder, 'my_snapshot.json'),
    JSON.stringify({ cnr_custom_nodes: { 'snapshot-pack': '1.0.0' } }),
  );
  const pack = join(folder, 'git-pack');
  mkdirSync(pack);
  writeFileSync(join(pack, '__init__.py'), 'NODE_CLASS_MAPPINGS = {}');
  const git = (...words: string[]) => execFileSync('git', words, { cwd: pack });
  git('init', '--quiet', '--initial-branch=main');
  git('add', '.');
  git('-c', 'user.name=a', '-c', 'user.email=a@b', 'commit', '--quiet', '-m', 'one');
  mkdirSync(join(folder, 'input'));
  cpSync('package.json', join(folder, 'input/file.json'));
  return folder;
}

/** Settings for a container that serves the local API, on free ports: it shares this machine's network. */
async function localApi() {
  const [comfyPort, apiPort] = [await freePort(), await freePort()];
  const url = `http://127.0.0.1:${apiPort}`;
  return {
    url,
    environment: {
      COMFY_URL: `http://127.0.0.1:${comfyPort}`,
      COMFY_ARGS: `--port ${comfyPort}`,
      API_PORT: String(apiPort),
    },
    post: async (body: string): Promise<unknown> => {
      const headers = { 'content-type': 'application/json' };
      return (await fetch(`${url}/runsync?wait=120000`, { method: 'POST', headers, body })).json();
    },
  };
}

async function answers(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  );
}
