import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { startComfyPlace } from '../../../lib/comfy/local/supervisor/test-supervisor.ts';
import { startRunpodSimulator } from '../../../lib/simulator/stand-ins/runpod.ts';
import { pictures, type Posted } from './test-rig.ts';

/** The worker as a container starts it, with a ComfyUI that it owns. All three are real processes. */
export async function startSupervised(
  environment: Record<string, string> = {},
  /** Files of ComfyUI's folder, by name, that are there before it starts. */
  files: Record<string, string> = {},
) {
  const parts = new AsyncDisposableStack();
  const place = parts.use(await startComfyPlace());
  for (const [name, text] of Object.entries(files)) await place.write(name, text);
  const platform = parts.use(await startRunpodSimulator({ waitMs: 60_000 }));
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
    /** The log of the worker. */
    log: () => output,
    /** How often the log of the worker has this text. */
    count: (text: string) => output.split(text).length - 1,
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
export const through = (classType: string, inputs: Record<string, unknown>) => ({
  ...pictures(),
  '3': { class_type: classType, inputs: { image: ['1', 0], ...inputs } },
  '2': { class_type: 'SaveImage', inputs: { images: ['3', 0], filename_prefix: 'T' } },
});

/** A worker with these settings does not wait for a ComfyUI that died. */
export const GIVES_UP = {
  COMFY_MAX_RESTARTS: '0',
  COMFY_DOWN_TIMEOUT_S: '1',
  COMFY_API_AVAILABLE_MAX_RETRIES: '2',
};
