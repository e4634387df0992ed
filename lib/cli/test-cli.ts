import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { jest } from '@jest/globals';
import { runCommand } from '../../handler/modes/commands.ts';

/** The command line, with a folder and an environment of its own. For tests. */
export interface CliRig extends AsyncDisposable {
  readonly folder: string;
  /** Starts a process in the folder; it reads `input`. */
  start(args: readonly string[], input?: string): Running;
  /** Starts a process and waits for its end. */
  run(args: readonly string[], input?: string): Promise<Finished>;
  /** Runs a command in this process, which is faster. Not for commands that write into the current folder, log, wait for signals, or leave timers of the SDK behind. */
  runHere(args: readonly string[], input?: string): Promise<Finished>;
}

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function startCliRig(environment: Record<string, string> = {}): Promise<CliRig> {
  const parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'cli-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const env = {
    COMFY_PID_FILE: join(folder, 'no.pid'),
    RESULT_SPOOL_DIR: join(folder, 'spool'),
    ...environment,
  };
  const start = (args: readonly string[], input = '') => {
    const child = spawn(process.execPath, [resolve('handler/index.ts'), ...args], {
      cwd: folder,
      env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const running = new Running(child, input);
    parts.defer(() => running.end());
    return running;
  };
  return {
    folder,
    start,
    run: (args, input) => start(args, input).finished,
    runHere: (args, input = '') => runInProcess(env, args, input),
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
}

async function runInProcess(
  environment: Readonly<Record<string, string>>,
  args: readonly string[],
  input: string,
): Promise<Finished> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    jest.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += text.toString();
      return true;
    }),
  );
  const stdin = jest
    .spyOn(process, 'stdin', 'get')
    .mockReturnValue(Readable.from([input]) as unknown as typeof process.stdin);
  const notNeeded = () => Promise.reject(new Error('Only a real process can do this'));
  try {
    return { code: await runCommand({ environment, args }, notNeeded), ...written };
  } finally {
    for (const spy of [stdin, ...spies]) spy.mockRestore();
  }
}

class Running {
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcess;
  readonly #told = new EventTarget();
  #stdout = '';
  #stderr = '';

  constructor(child: ChildProcess, input: string) {
    this.#child = child;
    child.stdin?.on('error', () => undefined); // it may end without reading
    child.stdin?.end(input);
    child.stdout?.on('data', (chunk: Buffer) => (this.#stdout += chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString();
      this.#told.dispatchEvent(new Event('told'));
    });
    this.finished = once(child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
  }

  /** Resolves with the first text in stderr that matches. */
  async tells(pattern: RegExp): Promise<string> {
    const tooLate = AbortSignal.timeout(15_000);
    for (;;) {
      const [found] = pattern.exec(this.#stderr) ?? [];
      if (found !== undefined) return found;
      await once(this.#told, 'told', { signal: tooLate });
    }
  }

  /** Sends the signal of Ctrl-C. */
  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.finished;
  }
}
