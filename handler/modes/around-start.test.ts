import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { isRunning } from '../../lib/comfy/local/supervisor/test-supervisor.ts';
import { startSupervised } from '../test/rigs/supervised-rig.ts';
import { pictures } from '../test/rigs/test-rig.ts';

jest.setTimeout(90_000);

test('a command before the start that fails: ComfyUI is not started, the platform is told why, and the exit code is 1', async () => {
  await using rig = await startSupervised({
    COMFY_BEFORE_START: `sh -c 'echo looking; echo "no driver 12.4" >&2; exit 1'`,
  });
  const { query } = await rig.platform.nextPing();
  expect(query).toMatchObject({ status: 'unhealthy', check: 'before-start' });
  expect(query.reason).toContain('no driver 12.4');
  expect(await rig.ended).toBe(1);
  expect(rig.place.starts()).toEqual([]);
  expect(rig.platform.takes).toEqual([]);
});

test('the commands around the start: one is waited for, the other runs beside the jobs and ends with the worker', async () => {
  await using rig = await startSupervised({
    COMFY_BEFORE_START: `sh -c 'ls > before.txt'`,
    COMFY_AFTER_START: `sh -c 'ls > after.txt; echo $$ > after.pid; echo "it waits"; exec sleep 600'`,
  });
  await rig.posted(rig.platform.submit({ workflow: pictures() }));
  await rig.logged('it waits');
  const read = (name: string) => readFile(join(rig.place.folder, name), 'utf8');
  expect(await read('before.txt')).not.toContain('started-');
  expect(await read('after.txt')).toContain('started-');
  const pid = Number(await read('after.pid'));
  expect(isRunning(pid)).toBe(true);
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

test('the warm-up of the manifest runs, and its models are read while ComfyUI starts', async () => {
  const workflow = pictures();
  const named = { ...workflow, '1': { ...workflow['1'], _meta: { title: 'a.safetensors' } } };
  await using rig = await startSupervised(
    { NETWORK_VOLUME_DIR: '.' },
    {
      'manifest.yaml': 'warmup: [warm.json]',
      'warm.json': JSON.stringify(named),
      'models/vae/a.safetensors': 'weights',
    },
  );
  await rig.logged('Models were read ahead');
  await rig.posted(rig.platform.submit({ workflow }));
  expect(rig.log()).toContain('A warm-up workflow has run');
});
