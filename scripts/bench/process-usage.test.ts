import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { parseStat, usageOf } from './process-usage.ts';

test('a process name with spaces and parentheses is parsed', () => {
  const stat = '42 (my (odd) name) S 7 42 42 0 -1 4194304 100 0 0 0 11 22 33 44 20 0 1 0 99';
  expect(parseStat(stat)).toEqual({ pid: 42, parent: 7, cpuTicks: 110 });
});

const onLinux = existsSync('/proc/self/stat') ? test : test.skip;

onLinux('children count as their parent', async () => {
  const alone = await usageOf(process.pid);
  const child = spawn(process.execPath, ['-e', 'console.log(); setTimeout(() => {}, 60_000)']);
  await once(child.stdout, 'data');
  try {
    const both = await usageOf(process.pid);
    const own = await usageOf(child.pid ?? 0);
    expect(own?.residentBytes).toBeGreaterThan(10_000_000);
    expect(own?.peakBytes).toBeGreaterThanOrEqual(own?.residentBytes ?? Infinity);
    expect(both?.peakBytes).toBeGreaterThan(alone?.peakBytes ?? Infinity);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
  expect(await usageOf(child.pid ?? 0)).toBeUndefined();
});
