import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, test } from '@jest/globals';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { startFileServer } from '../../lib/simulator/stand-ins/files.ts';
import { startRunpodSimulator } from '../../lib/simulator/stand-ins/runpod.ts';
import { pictures } from './rigs/test-rig.ts';

const MEGABYTE = 1_000_000;

/** A worker in its own process, so that only its memory is measured. */
async function startWorkerProcess(files: Parameters<typeof startFileServer>[0]['files']) {
  const parts = new AsyncDisposableStack();
  const comfy = parts.use(await startComfySimulator({ speed: Infinity }));
  const platform = parts.use(await startRunpodSimulator());
  const server = parts.use(await startFileServer({ files }));
  const folder = await mkdtemp(join(tmpdir(), 'large-input-'));
  parts.defer(() => rm(folder, { recursive: true }));
  const child = spawn(process.execPath, [resolve('handler/index.ts')], {
    cwd: folder,
    env: {
      ...platform.env,
      PATH: process.env.PATH,
      TMPDIR: folder,
      COMFY_URL: comfy.url,
      CLEANUP: 'never',
      COMFY_PID_FILE: join(folder, 'none'),
      DOWNLOAD_ALLOW_PRIVATE: new URL(server.url).host,
    },
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  parts.defer(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    comfy,
    server,
    folder,
    run: async (input: unknown) => (await platform.result(platform.submit(input))).bodyText,
    /** Bytes in memory now, and at most so far. */
    memory: async () => {
      const status = await readFile(`/proc/${child.pid ?? ''}/status`, 'utf8');
      const bytesOf = (name: string) =>
        1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
      return { now: bytesOf('VmRSS'), peak: bytesOf('VmHWM') };
    },
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux(
  'a video of 300 MB and an uploaded one are staged without being held in memory',
  async () => {
    await using worker = await startWorkerProcess({
      '/small.mp4': { content: { patternBytes: 1000 } },
      '/large.mp4': { content: { patternBytes: 300 * MEGABYTE } },
      '/uploaded.mp4': { content: { patternBytes: 90 * MEGABYTE } },
    });
    const job = (...names: string[]) => ({
      workflow: pictures(),
      files: names.map((name) => ({ name, url: `${worker.server.url}/${name}`, type: 'video' })),
    });
    expect(await worker.run(job('small.mp4'))).toContain('"images"');
    const idle = await worker.memory();
    expect(await worker.run(job('large.mp4', 'uploaded.mp4'))).toContain('"images"');
    const { peak } = await worker.memory();

    const { input } = worker.comfy.folders;
    expect((await stat(join(input, 'large.mp4'))).size).toBe(300 * MEGABYTE);
    expect((await stat(join(input, 'uploaded.mp4'))).size).toBe(90 * MEGABYTE);
    expect(peak - idle.now).toBeLessThan(150 * MEGABYTE);
    const left = await readdir(worker.folder);
    expect(left.filter((name) => name.startsWith('comfyui-worker-job-'))).toEqual([]);
  },
);
