import { fork, type ChildProcess } from 'node:child_process';
import { usageOf, type Usage } from './process-usage.ts';

/** The message to `bare-client.ts` for each job. */
export interface BareJob {
  readonly workflow: unknown;
  readonly images: readonly { readonly name: string; readonly image: string }[];
}

export interface BareResult {
  /** From the receipt of the job to its end. */
  readonly ms: number;
  readonly resultBytes: number;
}

/** The bare client in its own process, so that CPU time and memory are measured as those of a worker. */
export class BareClient implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#ended = new Promise((resolve) => child.once('exit', resolve));
  }

  /** @throws Error when the process ends before it is connected to ComfyUI. */
  static async start(comfyUrl: string): Promise<BareClient> {
    const child = fork(new URL('./bare-client.ts', import.meta.url), [comfyUrl]);
    const client = new BareClient(child);
    await client.#nextMessage();
    return client;
  }

  async run(job: BareJob): Promise<BareResult> {
    this.#child.send(job);
    return (await this.#nextMessage()) as BareResult;
  }

  usage(): Promise<Usage | undefined> {
    return usageOf(this.#child.pid ?? 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
  }

  #nextMessage(): Promise<unknown> {
    const failed = this.#ended.then((code) => {
      throw new Error(`The bare client ended with code ${code}`);
    });
    return Promise.race([new Promise((resolve) => this.#child.once('message', resolve)), failed]);
  }
}
