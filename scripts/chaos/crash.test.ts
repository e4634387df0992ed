import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const CHAOS = fileURLToPath(new URL('../chaos.ts', import.meta.url));

/** Process ids of all processes that `pid` has started, directly or through others. */
function descendantsOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`;
  const children = existsSync(file) ? readFileSync(file, 'utf8').split(' ').filter(Boolean) : [];
  return children.map(Number).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** The state `Z` is a process that has ended and was not read by its parent yet. */
function isRunning(pid: number): boolean {
  const file = `/proc/${pid}/status`;
  return existsSync(file) && !/^State:\s+Z/m.test(readFileSync(file, 'utf8'));
}

function isComfy(pid: number): boolean {
  const file = `/proc/${pid}/cmdline`;
  return existsSync(file) && readFileSync(file, 'utf8').includes('comfy-child');
}

const mountsIn = (folder: string) =>
  readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .filter((line) => line.includes(folder));

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux(
  'a chaos run that is killed leaves no process and no mount',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'comfyui-worker-crash-'));
    const run = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', CHAOS, '--jobs', '1000000'],
      { env: { ...process.env, NODE_OPTIONS: '', TMPDIR: folder }, stdio: 'ignore' },
    );
    const pid = run.pid ?? 0;
    try {
      while (!descendantsOf(pid).some(isComfy)) await sleep(50);
      const family = descendantsOf(pid);
      run.kill('SIGKILL');
      while (family.some(isRunning) || mountsIn(folder).length > 0) await sleep(50);
      expect(family.filter(isRunning)).toEqual([]);
    } finally {
      run.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  },
  60_000,
);
