import { expect, test } from '@jest/globals';
import { openComfy } from '../test-comfy.ts';

test('a local ComfyUI needs no key and lacks nothing', async () => {
  await using comfy = openComfy('http://127.0.0.1:8188');
  expect(comfy.capabilities).toEqual({
    authentication: 'none',
    pathPrefix: '',
    ownPromptIds: true,
    sharedDisk: true,
    history: true,
    nodeProgress: true,
    previews: true,
    freeMemory: true,
  });
});

test('a ComfyUI behind a proxy is addressed under the path of its URL', async () => {
  await using comfy = openComfy('http://127.0.0.1:8188/comfy/');
  expect(comfy.capabilities.pathPrefix).toBe('/comfy');
});
