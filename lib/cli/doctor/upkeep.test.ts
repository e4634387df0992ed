import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readConfig } from '../../config.ts';
import { upkeepCheck } from './upkeep.ts';

const { signal } = new AbortController();

async function examine(environment: Record<string, string>) {
  const findings = await upkeepCheck.look(
    {
      config: readConfig(environment),
      comfyMemory: () => Promise.resolve(2_000_000_000),
      ...{ nodeVersion: '24.1.0', volume: '', openWorkerBucket: () => Promise.resolve(undefined) },
      backend: { sharedDisk: true, freeMemory: true, nodeProgress: true },
      deadlyJobs: { list: () => Promise.resolve([]), clear: () => Promise.resolve() },
    },
    signal,
  );
  return findings.map(({ state, message }) => `${state}: ${message}`);
}

test('restarts, fresh workers and warm-up workflows are shown as they are set', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'doctor-'));
  const [good, bad] = [join(folder, 'good.json'), join(folder, 'bad.json')];
  await writeFile(good, '{"1":{"class_type":"A","inputs":{}}}');
  await writeFile(bad, '[]');
  const findings = await examine({
    COMFY_COMMAND: 'python main.py',
    COMFY_RESTART_AFTER_JOBS: '100',
    COMFY_MAX_RSS_MB: '1000',
    REFRESH_WORKER: 'after-10',
    WARMUP_WORKFLOW: `${good}, ${bad}`,
  });
  expect(findings).toEqual([
    'ok: the worker starts ComfyUI: python main.py',
    'ok: ComfyUI is restarted after 100 jobs',
    'warning: ComfyUI is restarted above 1000 MB of memory; it uses: 2000 MB',
    'ok: a fresh worker is asked for after 10 jobs',
    `ok: warm-up workflow ${good}`,
    `warning: warm-up workflow ${bad}: it is a JSON array, not a workflow`,
  ]);
  await rm(folder, { recursive: true });
});

test('restarts of a ComfyUI that somebody else starts are impossible, and a required warm-up must be readable', async () => {
  const findings = await examine({
    COMFY_MAX_RSS_MB: '1000',
    WARMUP_WORKFLOW: '/none.json',
    WARMUP_REQUIRED: 'true',
  });
  expect(findings).toEqual([
    'broken: COMFY_MAX_RSS_MB and COMFY_RESTART_AFTER_JOBS need COMFY_COMMAND',
    expect.stringContaining('broken: warm-up workflow /none.json: ENOENT'),
  ]);
});
