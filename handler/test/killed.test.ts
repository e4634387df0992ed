import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { loading, sampling } from './rigs/test-rig.ts';
import { startProcess } from './rigs/worker-process.ts';

/** Workers killed with SIGKILL, on the disk of a ComfyUI that lives on. */

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

test('the next worker removes the inputs and the job folder of a killed one, and not those of another', async () => {
  await using setup = await startProcess([], { CLEANUP: 'auto', JOB_PREFETCH: '0' });
  const { platform, comfy } = setup;
  const { input, output } = comfy.folders;
  const start = () => setup.start({ ...platform.env, TMPDIR: setup.folder });
  const slow = sampling({ steps: 400, stepMs: 30 });
  const early = { ...slow['3'], inputs: { images: ['1', 0], filename_prefix: 'early' } };
  const jobFolders = () => readdir(join(output, 'jobs')).catch((): string[] => []);

  const killed = start();
  const images = [{ name: 'killed.png', image: PNG }];
  platform.submit({ workflow: { ...slow, '4': early }, images }, { id: 'of-killed' });
  await comfy.waitFor({ type: 'progress' });
  expect(await jobFolders()).toContain('of-killed');
  const other = start();
  const kept = platform.submit({
    workflow: loading('kept.png'),
    images: [{ name: 'kept.png', image: PNG }],
  });
  await until(async () => (await readdir(input)).length === 2);
  await killed.end();
  expect((await readdir(input)).sort()).toEqual(['kept.png', 'killed.png']);

  const next = start();
  await until(async () => !(await readdir(input)).includes('killed.png'));
  await until(async () => !(await jobFolders()).includes('of-killed'));
  expect(JSON.parse((await platform.result(kept)).bodyText)).not.toHaveProperty('error');
  for (const worker of [next, other]) {
    worker.child.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
  }
  expect(await readdir(input)).toEqual([]);
  expect(await jobFolders()).toEqual([]);
  expect(await readdir(join(setup.folder, 'comfyui-worker-files'))).toEqual([]);
});
