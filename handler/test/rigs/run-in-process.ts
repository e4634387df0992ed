import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { startComfySimulator } from '../../../lib/simulator/comfy/simulator.ts';
import { startRunpodSimulator } from '../../../lib/simulator/stand-ins/runpod.ts';

/**
 * Runs one job in a worker process, as in a container: the module loader of jest does not give packages to modules
 * outside of the project. Returns the posted text.
 */
export async function runInProcess(
  { input, ...extras }: Readonly<Record<string, unknown>>,
  environment: Readonly<Record<string, string>>,
): Promise<string> {
  await using parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ speed: Infinity }));
  const platform = parts.use(await startRunpodSimulator());
  const folder = await mkdtemp(join(tmpdir(), 'example-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const worker = spawn(process.execPath, [resolve('handler/index.ts')], {
    cwd: folder,
    env: {
      COMFY_URL: comfy.url,
      COMFY_PID_FILE: join(folder, 'none'),
      RESULT_SPOOL_DIR: folder,
      ...platform.env,
      ...environment,
    },
    stdio: 'ignore',
  });
  const ended = once(worker, 'exit');
  parts.defer(async () => {
    worker.kill('SIGKILL');
    await ended;
  });
  return (await platform.result(platform.submit(input, extras))).bodyText;
}
