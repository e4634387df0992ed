import { expect, test } from '@jest/globals';
import { PROBE_NODES } from './probe-nodes.ts';
import { startComfySimulator } from './simulator.ts';

test('a prompt runs, and its picture can be read', async () => {
  await using comfy = await startComfySimulator({ nodes: PROBE_NODES, speed: Infinity });
  const prompt = {
    1: { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 255 } },
    2: { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'x' } },
  };
  const accepted = await fetch(`${comfy.url}/prompt`, {
    method: 'POST',
    body: JSON.stringify({ prompt, client_id: 'me' }),
  });
  const { prompt_id: promptId } = (await accepted.json()) as { prompt_id: string };
  await comfy.waitFor({ type: 'history', promptId });
  const history = await fetch(`${comfy.url}/history/${promptId}`);
  expect(await history.json()).toMatchObject({
    [promptId]: { outputs: { 2: { images: [{ filename: 'x_00001_.png' }] } } },
  });
  const view = await fetch(`${comfy.url}/view?filename=x_00001_.png`);
  expect(view.headers.get('content-type')).toBe('image/png');
});
