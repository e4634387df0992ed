import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import runpodSdk from 'runpod-sdk';
import { countTurns } from '../../lib/api/test-api.ts';
import { startApiRig, type ApiRig } from './rigs/api-rig.ts';
import { pictures, sampling } from './rigs/test-rig.ts';

/** The local API, the job line and the embedded ComfyUI together, as clients see them. */

interface View {
  readonly id: string;
  readonly status: string;
  readonly output?: { readonly images?: readonly { readonly data: string }[] };
  readonly error?: string;
  readonly stream?: readonly { readonly output: Readonly<Record<string, unknown>> }[];
}

async function call(rig: ApiRig, path: string, body?: unknown): Promise<View> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(
    `${rig.url}/v2/local${path}`,
    body === undefined ? {} : { method: 'POST', body: text },
  );
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as View;
}

const ended = (rig: ApiRig, jobId: string) => call(rig, `/status-sync/${jobId}?wait=20000`);

test('200 clients submit a job each and get its result, and the event loop keeps turning', async () => {
  await using rig = await startApiRig({ environment: { JOB_PREFETCH: '4' } });
  await call(rig, '/runsync', { input: { workflow: pictures() } });
  using turns = countTurns();
  const clients = Array.from({ length: 200 }, async (_, index) => {
    const { id } = await call(rig, '/run', { input: { workflow: pictures({ color: index }) } });
    for (;;) {
      const view = await call(rig, `/status/${id}`);
      if (view.status === 'COMPLETED') return view;
      expect(['IN_QUEUE', 'IN_PROGRESS']).toContain(view.status);
      await ended(rig, id);
    }
  });
  const views = await Promise.all(clients);
  expect(new Set(views.map(({ id }) => id)).size).toBe(200);
  for (const { output } of views) expect(output?.images).toHaveLength(1);
  const pictured = new Set(views.map(({ output }) => output?.images?.[0]?.data));
  expect(pictured.size).toBe(200);
  expect(turns.count).toBeGreaterThan(200); // others got turns of the event loop in between
}, 120_000);

test('a workflow reaches ComfyUI character for character', async () => {
  await using rig = await startApiRig();
  const workflow =
    '{"12":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}},' +
    '"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":8,"batch_size":1,"color":0},"_meta":{"seed":18446744073709551615,"weight":1.0}}}';
  const view = await call(rig, '/runsync', `{"input":{"workflow":${workflow}}}`);
  expect(view.status).toBe('COMPLETED');
  const history = await (await fetch(`${rig.comfy.url}/history?max_items=1`)).text();
  expect(history.replace(/\s/g, '')).toContain('{"seed":18446744073709551615,"weight":1.0}');
});

test('progress and previews of a running job are streamed, without its result', async () => {
  await using rig = await startApiRig({ comfy: { speed: 20 } });
  const workflow = JSON.parse(
    await readFile('test_resources/workflows/sdxl.json', 'utf8'),
  ) as object;
  const { id } = await call(rig, '/run', { input: { workflow } });
  const seen = { percents: [] as number[], previews: [] as string[] };
  for (let view = await call(rig, `/stream/${id}?previews=true`); ;) {
    for (const { output } of view.stream ?? []) {
      if (typeof output.percent === 'number') seen.percents.push(output.percent);
      if (typeof output.preview === 'string') seen.previews.push(output.preview);
    }
    if (view.status === 'COMPLETED') break;
    view = await call(rig, `/stream/${id}?previews=true`);
  }
  expect(seen.percents.length).toBeGreaterThan(1);
  expect(seen.percents).toEqual([...seen.percents].sort((a, b) => a - b));
  expect(seen.previews.length).toBeGreaterThan(0);
  for (const preview of seen.previews) expect(preview).toMatch(/^data:image\/jpeg;base64,/);
});

test('a cancelled job is interrupted in ComfyUI', async () => {
  await using rig = await startApiRig({ comfy: { speed: 1 } });
  const interrupted = rig.comfy.waitFor({ type: 'execution_interrupted' });
  const { id } = await call(rig, '/run', {
    input: { workflow: sampling({ steps: 1000, stepMs: 50 }) },
  });
  await rig.comfy.waitFor({ type: 'progress' });
  expect((await call(rig, `/cancel/${id}`, {})).status).toBe('CANCELLED');
  await interrupted;
  expect((await ended(rig, id)).status).toBe('CANCELLED');
});

test('a job over its time limit is TIMED_OUT and interrupted in ComfyUI', async () => {
  await using rig = await startApiRig({ comfy: { speed: 1 }, environment: { JOB_TIMEOUT_S: '1' } });
  const interrupted = rig.comfy.waitFor({ type: 'execution_interrupted' });
  const workflow = sampling({ steps: 1000, stepMs: 50 });
  const view = await call(rig, '/runsync', { input: { workflow } });
  expect(view.status).toBe('TIMED_OUT');
  expect(view.error).toContain('ran for 1 s');
  await interrupted;
});

test('a workflow that ComfyUI rejects fails the job with the reason', async () => {
  await using rig = await startApiRig();
  const workflow = { '1': { class_type: 'NoSuchNode', inputs: {} } };
  const view = await call(rig, '/runsync', { input: { workflow } });
  expect(view.status).toBe('FAILED');
  expect(view.error).toContain('NoSuchNode');
});

test('the RunPod SDK runs a workflow on the local API', async () => {
  await using rig = await startApiRig();
  const endpoint = runpodSdk('any', { baseUrl: `${rig.url}/v2` }).endpoint('local');
  const result = await endpoint?.runSync({ input: { workflow: pictures({ count: 2 }) } });
  expect(result).toMatchObject({ status: 'COMPLETED' });
  expect((result?.output as View['output'])?.images).toHaveLength(2);
});
