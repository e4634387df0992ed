import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PROBE_NODES } from '../../../lib/simulator/comfy/testing/probe-nodes.ts';
import { startComfySimulator } from '../../../lib/simulator/comfy/simulator.ts';
import { startRunpodSimulator } from '../../../lib/simulator/stand-ins/runpod.ts';

/** The worker as a container starts it, with ComfyUI and the platform beside it. */
export async function startProcess(
  args: readonly string[] = [],
  environment: Record<string, string> = {},
) {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ nodes: PROBE_NODES }));
  const platform = parts.use(await startRunpodSimulator());
  const folder = await mkdtemp(join(tmpdir(), 'worker-process-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const spoolDir = join(folder, 'spool');
  const start = (more: Record<string, string> = {}) => {
    const child = spawn(process.execPath, [resolve('handler/index.ts'), ...args], {
      cwd: folder,
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
        COMFY_URL: comfy.url,
        COMFY_PID_FILE: join(folder, 'none'),
        RESULT_SPOOL_DIR: spoolDir,
        ...environment,
        ...more,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const worker = new WorkerProcess(child);
    parts.defer(() => worker.end());
    return worker;
  };
  return {
    comfy,
    platform,
    folder,
    spoolDir,
    start,
    startRemote: () => start(platform.env),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

export class WorkerProcess {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = '';

  constructor(child: ChildProcess) {
    this.child = child;
    this.ended = once(child, 'exit').then(([code]) => code as number | null);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    }
  }

  async end(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}
