import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, jest, test } from '@jest/globals';
import { isRunning, startComfyPlace } from '../../lib/comfy/local/supervisor/test-supervisor.ts';
import { startRunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import { pictures, sampling, type Posted } from './rigs/test-rig.ts';

/** The worker as a container starts it, with a ComfyUI that it owns. All three are real processes. */

jest.setTimeout(90_000);

async function startSupervised(environment: Record<string, string> = {}) {
  const parts = new AsyncDisposableStack();
  const place = parts.use(await startComfyPlace());
  const platform = parts.use(await startRunpodSimulator());
  const child = spawn(process.execPath, [resolve('handler/index.ts')], {
    cwd: place.folder,
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      ...platform.env,
      ...place.environment,
      RESULT_SPOOL_DIR: join(place.folder, 'spool'),
      CLEANUP: 'never',
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  parts.defer(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  return {
    place,
    platform,
    child,
    ended,
    /** Waits until the log of the worker has this text. */
    logged: async (text: string) => {
      while (!output.includes(text)) await once(child.stdout, 'data');
    },
    posted: async (jobId: string) => {
      const { bodyText } = await platform.result(jobId);
      return JSON.parse(bodyText) as Posted & { output?: { attempts?: number } };
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

/** A workflow with a node of this class between an image and its saving. */
const through = (classType: string, inputs: Record<string, unknown>) => ({
  ...pictures(),
  '3': { class_type: classType, inputs: { image: ['1', 0], ...inputs } },
  '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'T' } },
});

test('a worker starts its ComfyUI, runs a job, and after SIGTERM nothing is left', async () => {
  await using rig = await startSupervised();
  const { output } = await rig.posted(rig.platform.submit({ workflow: pictures() }));
  expect(output?.images).toHaveLength(1);
  const [pid = 0] = rig.place.starts();
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

test('SIGTERM during a long job: it is interrupted within SHUTDOWN_GRACE_S, and ComfyUI is ended', async () => {
  await using rig = await startSupervised({ SHUTDOWN_GRACE_S: '4' });
  rig.platform.submit({ workflow: sampling({ steps: 10_000, stepMs: 30 }) });
  await rig.logged('Inputs staged');
  const [pid = 0] = rig.place.starts();
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

test('a second SIGTERM ends the worker and its ComfyUI at once', async () => {
  await using rig = await startSupervised();
  rig.platform.submit({ workflow: sampling({ steps: 10_000, stepMs: 30 }) });
  await rig.logged('Inputs staged');
  rig.child.kill('SIGTERM');
  await rig.logged('no more jobs are taken');
  rig.child.kill('SIGTERM');
  expect(await rig.ended).toBe(143);
  const [pid = 0] = rig.place.starts();
  while (isRunning(pid)) await new Promise((resolve) => setTimeout(resolve, 10));
});

test('a job that needs a class of a node pack that failed to load is told why', async () => {
  await using rig = await startSupervised();
  const pack = join(rig.place.folder, 'faces');
  await mkdir(pack);
  await rig.place.write('faces/nodes.py', 'NODE_CLASS_MAPPINGS = {"FaceSwap": FaceSwap}');
  const [first = 0] = await untilStarted(rig);
  await rig.place.write(
    'boot.txt',
    `Traceback (most recent call last):
  File "${pack}/nodes.py", line 1, in <module>
ModuleNotFoundError: No module named 'insightface'

Cannot import ${pack} module for custom nodes: No module named 'insightface'
Import times for custom nodes:`,
  );
  process.kill(first, 'SIGKILL');
  await rig.logged('ComfyUI is restarted');
  const { error, output } = await rig.posted(
    rig.platform.submit({ workflow: through('FaceSwap', {}) }),
  );
  expect(error).toContain('node FaceSwap does not exist');
  expect(error).toContain(
    "FaceSwap belongs to a node pack that failed to load:\n• faces: ModuleNotFoundError: No module named 'insightface'",
  );
  expect(output?.details?.join('\n')).toContain('File "nodes.py", line 1, in <module>');
});

async function untilStarted(rig: Awaited<ReturnType<typeof startSupervised>>) {
  await rig.logged('cold start');
  return rig.place.starts();
}
