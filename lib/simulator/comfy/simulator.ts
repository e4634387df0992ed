import type { Logger } from '../../log.ts';
import { EventLog, type EventMatch, type SimulatorEvent, type WaitOptions } from './event-log.ts';
import type { PromptTimes } from './prompt/executor.ts';
import { Faults } from './faults.ts';
import { openFolders, wipeTemp, type Place } from './folders.ts';
import type { Folders, NodeDefinition } from './nodes/node.ts';
import { NODES } from './nodes/registry.ts';
import { ComfyProcess } from './process.ts';
import { ComfyServer } from './server/server.ts';

export interface SimulatorOptions {
  /** `127.0.0.1` unless told otherwise. */
  readonly host?: string;
  /** Any that is free unless told otherwise. */
  readonly port?: number;
  /** Where `input`, `output` and `temp` lie; a temporary folder, removed in the end, unless told otherwise. */
  readonly folder?: string;
  /** Node classes beside the built-in ones, or instead of them. */
  readonly nodes?: ReadonlyMap<string, NodeDefinition>;
  /** Names of model files by folder (`checkpoints`, `vae`, ...). */
  readonly models?: Readonly<Record<string, readonly string[]>>;
  /** How many times faster than real the stand-ins for models work; `Infinity` for at once. 1 unless told otherwise. */
  readonly speed?: number;
  /** Whether samplers send previews; true unless told otherwise. */
  readonly previews?: boolean;
  /** Entries the history keeps; 10000, as in ComfyUI, unless told otherwise. */
  readonly historyCapacity?: number;
  /** ComfyUI starts output nodes in an order of chance; here it is this one, the document's unless told otherwise. */
  readonly orderOutputs?: (ids: readonly string[]) => readonly string[];
  readonly log?: Logger;
}

export interface ComfySimulator extends AsyncDisposable {
  readonly url: string;
  readonly faults: Faults;
  readonly folders: Folders;
  /** The last prompts that have ended, ten thousand at least, oldest first. */
  readonly prompts: readonly PromptTimes[];
  /** What happened lately (the last few thousand events) and matches, oldest first: requests, sockets, messages. */
  past(match: EventMatch): readonly SimulatorEvent[];
  /** The first event that matches, also one that is past. Rejects when none comes in ten seconds, or the time given. */
  waitFor(match: EventMatch, options?: WaitOptions): Promise<SimulatorEvent>;
}

/** Starts a ComfyUI that is none: the protocol of version 0.8.0 over real sockets, and nodes that really run. */
export async function startComfySimulator(options: SimulatorOptions = {}): Promise<ComfySimulator> {
  const { speed = 1 } = options;
  if (!(speed > 0)) throw new RangeError(`Expected speed to be above 0, got ${speed}`);
  const place = await openFolders(options.folder);
  const simulator = new Simulator(options, place);
  try {
    await simulator.restart();
  } catch (error) {
    await place.remove();
    throw error;
  }
  return simulator;
}

class Simulator implements ComfySimulator {
  readonly faults: Faults;
  readonly folders: Folders;
  readonly #options: SimulatorOptions;
  readonly #place: Place;
  readonly #log = new EventLog();
  readonly #prompts: PromptTimes[] = [];
  readonly #host: string;
  #port: number;
  #life: { readonly comfy: ComfyProcess; readonly server: ComfyServer } | undefined;

  constructor(options: SimulatorOptions, place: Place) {
    this.#options = options;
    this.#place = place;
    this.folders = place.folders;
    this.#host = options.host ?? '127.0.0.1';
    this.#port = options.port ?? 0;
    this.faults = new Faults(this.#log, {
      current: () => this.#current(),
      die: () => this.#die(),
      restart: () => this.restart(),
    });
  }

  get url(): string {
    return `http://${this.#host}:${this.#port}`;
  }

  get prompts(): readonly PromptTimes[] {
    return this.#prompts;
  }

  past(match: EventMatch): readonly SimulatorEvent[] {
    return this.#log.past(match);
  }

  waitFor(match: EventMatch, options?: WaitOptions): Promise<SimulatorEvent> {
    return this.#log.waitFor(match, options);
  }

  async restart(): Promise<void> {
    await this.#die();
    await wipeTemp(this.folders);
    const comfy = this.#createProcess();
    try {
      const server = await ComfyServer.start(comfy, { host: this.#host, port: this.#port });
      this.#life = { comfy, server };
      this.#port = server.port;
    } catch (error) {
      await comfy.end();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#die();
    await this.#place.remove();
  }

  #createProcess(): ComfyProcess {
    const { nodes, models = {}, speed = 1, previews = true, log, ...rest } = this.#options;
    return new ComfyProcess({
      catalogue: {
        nodes: nodes ? new Map([...NODES, ...nodes]) : NODES,
        host: { folders: this.folders, models },
      },
      orderOutputs: rest.orderOutputs ?? ((ids) => ids),
      historyCapacity: rest.historyCapacity ?? 10_000,
      speed,
      previews,
      logger: log,
      log: this.#log,
      faults: this.faults,
      onPrompt: (times) => this.#remember(times),
      onCrash: () => void this.#die(),
    });
  }

  #remember(times: PromptTimes): void {
    this.#prompts.push(times);
    if (this.#prompts.length > 2 * PROMPTS_KEPT) this.#prompts.splice(0, PROMPTS_KEPT);
  }

  #current(): ComfyProcess {
    if (this.#life) return this.#life.comfy;
    throw new Error('The simulated ComfyUI is not running; call restart() first');
  }

  async #die(): Promise<void> {
    const life = this.#life;
    if (!life) return;
    this.#life = undefined;
    await Promise.all([life.comfy.end(), life.server.stop()]);
    this.#log.announce('process_died');
  }
}

const PROMPTS_KEPT = 10_000;
