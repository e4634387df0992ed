import { readFile } from 'node:fs/promises';

/** `absent` when there is no file, or no process id in it. */
export type ProcessState = 'absent' | 'alive' | 'gone';

/** Whether the process a file names still lives. One that has ended but was not reaped by its parent is gone. */
export async function processState(pidFile: string): Promise<ProcessState> {
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  if (!/^\s*[1-9]\d*\s*$/.test(text)) return 'absent';
  const pid = Number(text);
  return exists(pid) && !(await isZombie(pid)) ? 'alive' : 'gone';
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    // Not ours to signal, but there.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** The state follows the command's name, which is in parentheses and may hold anything. Linux only. */
async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2));
}
