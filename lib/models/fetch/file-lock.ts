import { randomUUID } from 'node:crypto';
import { open, readFile, readlink, rename, rm, stat, utimes } from 'node:fs/promises';
import { systemClock } from '../../clock.ts';
import { errnoOf } from '../../errors.ts';
import { processExists } from '../../processes/process-stat.ts';
import { bootId } from './part-file.ts';

/** The lock of the download of a model. */
export const lockPathOf = (target: string) => `${target}.part.lock`;

/**
 * Takes a lock between processes, also on different machines with a shared disk: a file that its owner touches every few
 * seconds. Waits until it is free. A lock is abandoned if its owner was on this machine and is gone, or if it was not touched
 * for a while as this process saw it: clocks of different machines are not compared. Disposing the lock releases it.
 */
export async function lockFile(path: string, signal: AbortSignal): Promise<AsyncDisposable> {
  for (;;) {
    const lock = await lockUnlessHeld(path, signal);
    if (lock) return lock;
  }
}

/** The same, but undefined if another process is seen to hold the lock, which takes a few seconds. */
export async function lockUnlessHeld(
  path: string,
  signal: AbortSignal,
): Promise<AsyncDisposable | undefined> {
  const own = JSON.stringify({ id: randomUUID(), pid: process.pid, home: await home() });
  let seen: { readonly mark: string; readonly since: number } | undefined;
  for (;;) {
    signal.throwIfAborted();
    if (await create(path, own)) return new HeldLock(path, own);
    const text = await readFile(path, 'utf8').catch(() => '');
    const touched = await stat(path).then(
      ({ mtimeMs }) => mtimeMs,
      () => 0,
    );
    const mark = `${text} ${touched}`;
    const now = performance.now();
    if (seen && seen.mark !== mark) return undefined;
    seen ??= { mark, since: now };
    if ((await isOwnerGone(text)) || now - seen.since > ABANDONED_MS) {
      await remove(path, text);
      seen = undefined;
    } else await systemClock.sleep(POLL_MS, signal);
  }
}

class HeldLock implements AsyncDisposable {
  readonly #path: string;
  readonly #own: string;
  readonly #timer: NodeJS.Timeout;

  constructor(path: string, own: string) {
    this.#path = path;
    this.#own = own;
    const touch = () => void utimes(path, new Date(), new Date()).catch(() => undefined);
    this.#timer = setInterval(touch, TOUCH_MS).unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    const isOwn = (await readFile(this.#path, 'utf8').catch(() => '')) === this.#own;
    if (isOwn) await rm(this.#path, { force: true });
  }
}

async function create(path: string, text: string): Promise<boolean> {
  try {
    await using file = await open(path, 'wx');
    await file.writeFile(text);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Removes the lock with this text. If another one has come in its place meanwhile, that one is put back. */
async function remove(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
    if ((await readFile(aside, 'utf8')) !== text) await rename(aside, path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error; // another process was faster
  } finally {
    await rm(aside, { force: true });
  }
}

async function isOwnerGone(text: string): Promise<boolean> {
  const [, pid] = /"pid":(\d+)/.exec(text) ?? [];
  if (pid === undefined || !text.includes(JSON.stringify(await home()))) return false;
  return !processExists(Number(pid));
}

/** The place where process ids mean something: this start of this machine, and the container on it. */
export async function home(): Promise<string> {
  return `${await bootId()} ${await readlink('/proc/self/ns/pid').catch(() => '')}`;
}

const TOUCH_MS = 5000;
const ABANDONED_MS = 30_000;
const POLL_MS = 200;
