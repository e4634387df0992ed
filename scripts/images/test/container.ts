import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { imageConfig, mountImage } from './buildah.ts';

/** A container of an image: its own processes and mounts, the network and the user ids of this machine. */
export class Container implements AsyncDisposable {
  /** The folder with its files. */
  readonly root: string;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(root: string, process: ChildProcess) {
    this.root = root;
    this.#process = process;
    for (const stream of [process.stdout, process.stderr])
      stream?.on('data', (chunk: Buffer) => (this.#output += String(chunk)));
  }

  /** Starts the image as an engine would: its entry point, command, environment and folder. */
  static start(image: string, environment: Readonly<Record<string, string>> = {}): Container {
    const root = mountImage(image);
    const { Env, Entrypoint, Cmd, WorkingDir } = imageConfig(image);
    const variables = [
      ...Env,
      ...Object.entries(environment).map(([name, value]) => `${name}=${value}`),
    ];
    const inside = [
      `mount -t proc proc ${root}/proc`,
      `mount --rbind /dev ${root}/dev`,
      `mount -t tmpfs tmpfs ${root}/run`,
      `exec chroot ${root} env -i -C "${WorkingDir || '/'}" "$@"`,
    ].join(' && ');
    const child = spawn(
      'unshare',
      [
        '--pid',
        '--mount',
        '--fork',
        '--kill-child',
        'sh',
        '-c',
        inside,
        'sh',
        ...variables,
        ...Entrypoint,
        ...Cmd,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    );
    return new Container(root, child);
  }

  /** Everything its processes have printed. */
  get output(): string {
    return this.#output;
  }

  /** The exit code, when its first process has ended. */
  async exitCode(): Promise<number | null> {
    if (this.#process.exitCode === null)
      await new Promise((resolve) => this.#process.once('exit', resolve));
    return this.#process.exitCode;
  }

  /** The id, on this machine, of its process 1. */
  get init(): number {
    const children = `/proc/${this.#process.pid}/task/${this.#process.pid}/children`;
    return Number(readFileSync(children, 'utf8').trim());
  }

  /** Its processes by their ids inside. */
  processes(): readonly {
    readonly hostPid: number;
    readonly pid: number;
    readonly uid: number;
    readonly command: string;
  }[] {
    const namespace = pidNamespace(this.init);
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => pidNamespace(pid) === namespace)
      .map((hostPid) => {
        const status = readFileSync(`/proc/${hostPid}/status`, 'utf8');
        return {
          hostPid,
          pid: Number(/^NSpid:.*\s(\d+)$/m.exec(status)?.[1]),
          uid: Number(/^Uid:\s+(\d+)/m.exec(status)?.[1]),
          command: readFileSync(`/proc/${hostPid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
        };
      });
  }

  /** Waits until a condition holds. @throws after three minutes, with the output. */
  async until(what: string, condition: () => Promise<boolean> | boolean): Promise<void> {
    for (let tries = 0; tries < 1800; tries += 1) {
      if (await condition()) return;
      if (this.#process.exitCode !== null) break;
      await sleep(100);
    }
    throw new Error(`${what} did not happen in the container. It printed:\n${this.#output}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGKILL'); // its processes end with it: --kill-child
    await this.exitCode();
  }
}

function pidNamespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`);
  } catch {
    return undefined; // it has ended
  }
}
