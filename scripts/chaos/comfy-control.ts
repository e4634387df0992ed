import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { AnswerFault } from '../../lib/simulator/comfy/faults.ts';

/** An order to a ComfyUI of the chaos run. */
export type ComfyOrder =
  | { readonly do: 'drop' | 'endExecutor' }
  | { readonly do: 'halfOpen' | 'lateHistory'; readonly ms: number }
  | { readonly do: 'endless'; readonly request: string; readonly times: number }
  | ({ readonly do: 'fail' } & AnswerFault);

/** Knows the ComfyUI processes that the worker starts: each of them connects here, says its process id, and takes orders. */
export class ComfyControl implements AsyncDisposable {
  /** Process ids of all ComfyUIs so far. */
  readonly pids: number[] = [];
  readonly #server = createServer((socket) => this.#open(socket));
  readonly #sockets = new Map<number, Socket>();

  static async start(): Promise<ComfyControl> {
    const control = new ComfyControl();
    control.#server.listen(0, '127.0.0.1');
    await once(control.#server, 'listening');
    return control;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The running ComfyUI. Undefined while there is none that answers. */
  get pid(): number | undefined {
    return [...this.#sockets.keys()].at(-1);
  }

  /** False when there is no ComfyUI to hear it. */
  order(order: ComfyOrder): boolean {
    const socket = this.pid === undefined ? undefined : this.#sockets.get(this.pid);
    socket?.write(`${JSON.stringify(order)}\n`);
    return socket !== undefined;
  }

  /** False when there is no ComfyUI, or when it has just ended. */
  signal(signal: NodeJS.Signals, pid = this.pid): boolean {
    if (pid === undefined || !this.#sockets.has(pid)) return false;
    try {
      return process.kill(pid, signal);
    } catch {
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets.values()) socket.destroy();
    await closed;
  }

  #open(socket: Socket): void {
    let pid = 0;
    const lines = createInterface(socket).on('error', () => undefined);
    lines.on('line', (line) => {
      pid = Number(line);
      this.pids.push(pid);
      this.#sockets.set(pid, socket);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(pid));
  }
}
