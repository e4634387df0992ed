import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { startCliRig } from './test-cli.ts';

test('comfy serves the embedded ComfyUI and the editor until Ctrl-C', async () => {
  await using cli = await startCliRig();
  const root = join(cli.folder, 'static');
  await mkdir(root);
  await writeFile(join(root, 'index.html'), '<p>The editor');
  const comfy = cli.start(['comfy', '--port', '0', '--front-end-root', root]);
  const url = await comfy.tells(/http:\/\/127\.0\.0\.1:\d+/);
  expect(await (await fetch(url)).text()).toBe('<p>The editor');
  const stats = await (await fetch(`${url}/system_stats`)).json();
  expect(stats).toMatchObject({ system: { comfyui_version: '0.33.0', simulated: true } });
  comfy.interrupt();
  expect((await comfy.finished).code).toBe(0);
});

test('comfy says that a folder has no editor', async () => {
  await using cli = await startCliRig();
  const { code, stderr } = await cli.run(['comfy', '--port', '0', '--front-end-root', 'none']);
  expect(stderr).toContain('--front-end-root none has no index.html');
  expect(code).toBe(2);
});
