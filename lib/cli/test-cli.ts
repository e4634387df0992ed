import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** A folder of its own, and the command line started in it as a real process. For tests. */
export interface Desk extends AsyncDisposable {
  readonly folder: string;
  /** Starts it, and gives it `input` to read. */
  start(args: readonly string[], input?: string): Running;
  /** Starts it and waits for its end. */
  run(args: readonly string[], input?: string): Promise<Finished>;
}

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export async function openDesk(environment: Record<string, string> = {}): Promise<Desk> {
  const parts = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'cli-'));
  parts.defer(() => rm(folder, { recursive: true, force: true }));
  const start = (args: readonly string[], input = '') => {
    const child = spawn(process.execPath, [resolve('handler/index.ts'), ...args], {
      cwd: folder,
      env: {
        COMFY_PID_FILE: join(folder, 'no.pid'),
        RESULT_SPOOL_DIR: join(folder, 'spool'),
        ...environment,
      },
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
    [Symbol.asyncDispose]: () => parts.disposeAsync(),
  };
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

  /** Resolves when stderr has something that matches. */
  async tells(pattern: RegExp): Promise<void> {
    const tooLate = AbortSignal.timeout(15_000);
    while (!pattern.test(this.#stderr)) await once(this.#told, 'told', { signal: tooLate });
  }

  /** What a terminal does at Ctrl-C. */
  interrupt(): void {
    this.#child.kill('SIGINT');
  }

  async end(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.finished;
  }
}
