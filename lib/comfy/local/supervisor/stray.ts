import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Clock } from '../../../clock.ts';
import { describeError, WorkerError } from '../../../errors.ts';
import type { Logger } from '../../../log.ts';
import { isZombie, statOf } from '../../../processes/process-stat.ts';
import { signalGroup } from './process-group.ts';

/*
 * A worker that is killed with SIGKILL leaves its ComfyUI behind. The next worker ends it, but only when it is certainly
 * its own: the process of the pid file leads its group, carries this worker's mark in its environment, and the worker
 * that the mark names is gone.
 */

/** The environment variable that marks a ComfyUI as started by a worker: `<worker pid>:<its start>:<pid file>`. */
export const MARK = 'COMFYUI_WORKER_CHILD';

export async function markOf(pidFile: string): Promise<string> {
  return `${process.pid}:${(await statOf(process.pid))?.startedAt ?? ''}:${pidFile}`;
}

/** Others read the file, for example `doctor`. Nothing here depends on it but the search for a stray process. */
export async function writePidFile(pidFile: string, pid: number, log: Logger): Promise<void> {
  await writeFile(pidFile, `${pid}\n`).catch((error: unknown) =>
    log.warn({ pidFile, error: describeError(error) }, 'COMFY_PID_FILE cannot be written'),
  );
}

/** Removes the pid file unless it names another process by now. */
export async function removePidFile(pidFile: string, pid: number): Promise<void> {
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  if (Number(text) === pid) await rm(pidFile, { force: true });
}

/**
 * Ends the ComfyUI that a killed worker with the same pid file left behind.
 * @throws WorkerError `worker.unfit` when the worker that started it still runs.
 */
export async function endStray(
  pidFile: string,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<void> {
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  if (!/^\s*[1-9]\d*\s*$/.test(text)) return;
  const pid = Number(text);
  const [stat, environment] = await Promise.all([
    statOf(pid),
    readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
  ]);
  const mark = environment.split('\0').find((one) => one.startsWith(`${MARK}=`));
  const [, workerPid = '', workerStart = '', markedFile] =
    /^\w+=(\d+):(\d*):(.*)$/s.exec(mark ?? '') ?? [];
  if (stat?.group !== pid || markedFile !== pidFile) return;
  if ((await statOf(workerPid))?.startedAt === workerStart) {
    throw new WorkerError(
      'worker.unfit',
      `The ComfyUI of ${pidFile} (process ${pid}) belongs to another worker that runs (process ${workerPid}). ` +
        'Give each worker its own COMFY_PID_FILE and COMFY_URL.',
    );
  }
  log.warn({ pid }, 'A ComfyUI that a killed worker left behind is ended');
  signalGroup(pid, 'SIGKILL');
  for (let waitedMs = 0; waitedMs < GONE_MS && (await isThere(pid)); waitedMs += LOOK_MS)
    await clock.sleep(LOOK_MS);
}

/** A killed process is a zombie while some of its threads still end, and until then they hold its port. */
async function isThere(pid: number): Promise<boolean> {
  const stat = await statOf(pid);
  if (stat === undefined) return false;
  const threads = await readdir(`/proc/${pid}/task`).catch(() => []);
  return !isZombie(stat) || threads.length > 1;
}

const GONE_MS = 5000;
const LOOK_MS = 20;
