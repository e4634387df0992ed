/** Runs the blocks of documents that are marked `sh run` and `sh serve`, as a newcomer does: in order, in one folder. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import { freePort } from '../../lib/http/test-free-port.ts';
import { DOCUMENTS, type Fence } from './documents.ts';

const runnable = DOCUMENTS.map((document) => ({
  ...document,
  fences: document.fences.filter(({ language, kind }) => language === 'sh' && kind !== ''),
})).filter(({ fences }) => fences.length > 0);

test.each(runnable.map((document) => [document.path, document] as const))(
  'the commands of %s work, one after the other, in a checkout',
  async (_path, document) => {
    await using reader = await Reader.open();
    for (const fence of document.fences) {
      if (fence.kind === 'serve') await reader.serve(fence);
      else await reader.run(fence);
    }
  },
  240_000,
);

/** Stands in a copy of the repository, and enters commands. */
class Reader implements AsyncDisposable {
  readonly #folder: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #port: number;
  #server: AsyncDisposable | undefined;

  static async open(): Promise<Reader> {
    const folder = await mkdtemp(join(tmpdir(), 'docs-reader-'));
    // The sources are linked. What a command writes stays in the folder.
    const names = (await readdir('.')).filter((name) => !UNLINKED.has(name));
    for (const name of names) await symlink(resolve(name), join(folder, name));
    await addPrograms(join(folder, '.bin'));
    return new Reader(folder, await freePort());
  }

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.#environment = {
      ...process.env,
      PATH: [join(folder, '.bin'), process.env.PATH].join(delimiter),
      REAL_NPM_PATH: process.env.PATH,
      API_PORT: String(port),
      NODE_OPTIONS: '--disable-warning=ExperimentalWarning',
    };
  }

  /** Runs a block. A command that fails ends it, except at the left of `&&`, as in a shell with `set -e`. */
  async run({ code, document, line }: Fence): Promise<void> {
    const options = { cwd: this.#folder, env: this.#environment, timeout: 120_000 };
    const script = `set -eo pipefail\n${this.#here(code)}`;
    const ended = await promisify(execFile)('bash', ['-c', script], options).then(
      () => 'ok',
      (error: unknown) => `${document}:${line}: ${String(error)}`,
    );
    expect(ended).toBe('ok');
  }

  /** Starts the program of a block, and waits until its API answers. */
  async serve({ code }: Fence): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    const server = spawn('bash', ['-c', `exec ${this.#here(code).trim()}`], {
      cwd: this.#folder,
      env: this.#environment,
      stdio: 'ignore',
      detached: true,
    });
    const ended = once(server, 'exit');
    this.#server = {
      [Symbol.asyncDispose]: async () => {
        if (server.exitCode === null && server.pid) process.kill(-server.pid, 'SIGTERM');
        await ended;
      },
    };
    const url = `http://127.0.0.1:${this.#port}/ready`;
    await expect(answers(url, server)).resolves.toBe(true);
  }

  /** Documents name the default port. Another one is used here, because that may be taken. */
  #here(code: string): string {
    return code.replaceAll('127.0.0.1:8000', `127.0.0.1:${this.#port}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
    await rm(this.#folder, { recursive: true });
  }
}

const UNLINKED = new Set(['.git', 'dist', 'coverage', 'demo_output', 'output', 'data']);

/**
 * `comfyui-worker`, as if it were installed, and an `npm` that skips what is done already where this test runs: `npm ci`,
 * the tests themselves and their checks.
 */
async function addPrograms(folder: string): Promise<void> {
  await mkdir(folder);
  const programs = {
    'comfyui-worker': `exec "${process.execPath}" "${resolve('handler/index.ts')}" "$@"`,
    npm: `case "$1 $2" in 'ci ' | 'test ' | 'run check') exit 0 ;; esac\nPATH="$REAL_NPM_PATH" exec npm "$@"`,
  };
  for (const [name, line] of Object.entries(programs)) {
    const path = join(folder, name);
    await writeFile(path, `#!/bin/sh\n${line}\n`);
    await chmod(path, 0o755);
  }
}

/** Whether the URL answers 200 before the program ends, within a minute. */
async function answers(url: string, program: { exitCode: number | null }): Promise<boolean> {
  const signal = AbortSignal.timeout(60_000);
  while (program.exitCode === null && !signal.aborted) {
    const status = await fetch(url, { signal }).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return true;
    await new Promise((done) => setTimeout(done, 200));
  }
  return false;
}
