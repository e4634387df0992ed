/** Packs the npm package in a clean copy of the sources, installs it in an empty folder, and runs it from there. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import packageJson from '../package.json' with { type: 'json' };

const run = promisify(execFile);
const MAX_BYTES = 1_500_000;
/** npm's words when it would need a network that is not there. */
const NO_NETWORK = /ENOTCACHED|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH/;

let folder = '';
let archive = '';
/** Node 24 first, also for the scripts of npm. */
const environment = {
  ...process.env,
  PATH: [dirname(process.execPath), process.env.PATH].join(delimiter),
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'package-'));
  archive = await pack();
}, 300_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Nothing of an earlier build, and nothing that Git ignores, can slip in. @returns the path of the archive. */
async function pack(): Promise<string> {
  const sources = join(folder, 'sources');
  await mkdir(sources);
  const names = (await readdir('.')).filter(
    (name) => !/^(?:\.git|node_modules|dist|data)$/.test(name),
  );
  for (const name of names) await cp(name, join(sources, name), { recursive: true });
  await symlink(resolve('node_modules'), join(sources, 'node_modules'));
  const { stdout } = await run('npm', ['pack', '--json'], { cwd: sources, env: environment });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('['))) as { filename: string }[];
  return join(sources, packed?.filename ?? '');
}

async function packedFiles(): Promise<string[]> {
  const { stdout } = await run('tar', ['-tzf', archive]);
  return stdout
    .trim()
    .split('\n')
    .map((path) => path.replace('package/', ''));
}

test('the package has the built worker, its documents and example workflows, and nothing else', async () => {
  const files = await packedFiles();
  for (const file of [
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'docs/quick-start.md',
    'dist/handler/index.js',
  ])
    expect(files).toContain(file);
  const others = files.filter((file) => !/^(?:dist|docs|test_resources\/workflows)\//.test(file));
  expect(others.sort()).toEqual([
    'CHANGELOG.md',
    'LICENSE',
    'README.md',
    'package.json',
    'test_input.json',
  ]);
  expect(files.filter((file) => /\.map$|\.test\.js$|stand-ins/.test(file))).toEqual([]);
  const { size } = await stat(archive);
  process.stderr.write(`The package has ${size} bytes and ${files.length} files.\n`);
  expect(size).toBeLessThan(MAX_BYTES);
});

test('npx comfyui-worker serve --simulate works where only the package is installed', async () => {
  const project = join(folder, 'project');
  await mkdir(project);
  const install = ['install', '--prefer-offline', '--no-audit', '--no-fund', archive];
  const failed = await run('npm', install, { cwd: project, env: environment }).then(
    () => '',
    (error: unknown) => String(error),
  );
  if (NO_NETWORK.test(failed)) {
    process.stderr.write('NOTE: NOT TESTED: npm has no network and lacks a package in its cache\n');
    return;
  }
  expect(failed).toBe('');
  const { status, output } = (await serveAndRun(project)) as Answer;
  expect(status).toBe('COMPLETED');
  expect(output.images.map(({ filename }) => filename)).toEqual(['ComfyUI_00001_.png']);
}, 300_000);

interface Answer {
  readonly status: string;
  readonly output: { readonly images: readonly { readonly filename: string }[] };
}

/** @returns the answer of the API to the example job of the package. */
async function serveAndRun(project: string): Promise<unknown> {
  const args = ['--no-install', 'comfyui-worker', 'serve', '--simulate', '--port', '0'];
  const server = spawn('npx', args, {
    cwd: project,
    env: environment,
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  try {
    const url = await urlIn(server.stdout);
    const job = join(project, 'node_modules', packageJson.name, 'test_input.json');
    const { stdout } = await run('curl', ['-sS', `${url}/runsync`, '-d', `@${job}`]);
    return JSON.parse(stdout);
  } finally {
    if (server.pid && server.exitCode === null) process.kill(-server.pid, 'SIGTERM');
    await ended;
  }
}

/** The address of the API in the log. */
async function urlIn(log: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface({ input: log })) {
    const [, url] = /\burl: "(http[^"]+)"/.exec(line) ?? [];
    if (url !== undefined) return url;
  }
  throw new RangeError('The program ended without the address of its API');
}
