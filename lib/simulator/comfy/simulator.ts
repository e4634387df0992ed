import type { Logger } from '../../log.ts';
import { EventLog, type EventMatch, type SimulatorEvent, type WaitOptions } from './event-log.ts';
import type { PromptTimes } from './prompt/executor.ts';
import { Faults } from './faults.ts';
import { openFolders, wipeTemp, type OpenedFolders } from './folders.ts';
import type { Folders, NodeDefinition } from './nodes/node.ts';
import { nodeClasses } from './nodes/registry.ts';
import { ComfyProcess } from './process.ts';
import { profileOf, type ComfyVersion } from './profile.ts';
import { ComfyServer } from './server/server.ts';

export interface SimulatorOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default: any free port. */
  readonly port?: number;
  /** Parent of `input`, `output` and `temp`. Default: a temporary folder that is deleted at the end. */
  readonly folder?: string;
  /** Further node classes; they replace built-in ones of the same name. */
  readonly nodes?: ReadonlyMap<string, NodeDefinition>;
  /** Names of model files by folder (`checkpoints`, `vae`, ...). */
  readonly models?: Readonly<Record<string, readonly string[]>>;
  /** Divides all working times of nodes; `Infinity` means no waiting. Default 1. */
  readonly speed?: number;
  /** Whether samplers send previews. Default true. */
  readonly previews?: boolean;
  /** Maximum number of history entries. Default 10000, as in ComfyUI. */
  readonly historyCapacity?: number;
  /** Largest request body. Default 100 MiB, as in ComfyUI (`--max-upload-size`). */
  readonly maxUploadBytes?: number;
  /** ComfyUI starts output nodes in random order; this function decides it. Default: document order. */
  readonly orderOutputs?: (ids: readonly string[]) => readonly string[];
  /** The ComfyUI version whose protocol is spoken. Default: the newest. */
  readonly version?: ComfyVersion;
  /** Folder with the build of ComfyUI's editor, served at `/`. */
  readonly frontEndRoot?: string;
  /** The JSON of subgraph blueprints by name, for `/global_subgraphs`. Default: none. */
  readonly blueprints?: ReadonlyMap<string, string>;
  readonly log?: Logger;
  /** Gets the lines that ComfyUI would print. Default: nobody. */
  readonly print?: (line: string) => void;
}

export interface ComfySimulator extends AsyncDisposable {
  readonly url: string;
  readonly faults: Faults;
  readonly folders: Folders;
  /** Ended prompts, oldest first; at least the last ten thousand. */
  readonly prompts: readonly PromptTimes[];
  /** Matching events among the last few thousand (requests, sockets, messages), oldest first. */
  past(match: EventMatch): readonly SimulatorEvent[];
  /** The first matching event, including past ones. Rejects after ten seconds or `timeoutMs`. */
  waitFor(match: EventMatch, options?: WaitOptions): Promise<SimulatorEvent>;
}

/** Starts the embedded ComfyUI: the protocol of ComfyUI over real sockets, and nodes that really run. */
export async function startComfySimulator(options: SimulatorOptions = {}): Promise<ComfySimulator> {
  const { speed = 1 } = options;
  if (!(speed > 0)) throw new RangeError(`Expected speed to be above 0, got ${speed}`);
  const opened = await openFolders(options.folder);
  const simulator = new Simulator(options, opened);
  try {
    await simulator.restart();
  } catch (error) {
    await opened.remove();
    throw error;
  }
  return simulator;
}

class Simulator implements ComfySimulator {
  readonly faults: Faults;
  readonly folders: Folders;
  readonly #options: SimulatorOptions;
  readonly #opened: OpenedFolders;
  readonly #log = new EventLog();
  readonly #prompts: PromptTimes[] = [];
  readonly #host: string;
  #port: number;
  #life: { readonly comfy: ComfyProcess; readonly server: ComfyServer } | undefined;

  constructor(options: SimulatorOptions, opened: OpenedFolders) {
    this.#options = options;
    this.#opened = opened;
    this.folders = opened.folders;
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
    await this.#opened.remove();
  }

  #createProcess(): ComfyProcess {
    const { nodes, models = {}, speed = 1, previews = true, log, ...rest } = this.#options;
    const profile = profileOf(rest.version);
    return new ComfyProcess({
      catalogue: {
        nodes: nodeClasses(profile.version, nodes),
        host: { folders: this.folders, models },
        profile,
      },
      orderOutputs: rest.orderOutputs ?? ((ids) => ids),
      maxUploadBytes: rest.maxUploadBytes,
      frontEndRoot: rest.frontEndRoot,
      blueprints: rest.blueprints ?? new Map(),
      historyCapacity: rest.historyCapacity ?? 10_000,
      speed,
      previews,
      logger: log,
      print: rest.print,
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
