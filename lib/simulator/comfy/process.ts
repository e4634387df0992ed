import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../../log.ts';
import { epochMs, type EventLog } from './event-log.ts';
import { Executor, type PromptTimes } from './prompt/executor.ts';
import type { Faults } from './faults.ts';
import { History, type Outcome } from './prompt/history.ts';
import { PromptEvents } from './prompt/prompt-events.ts';
import { PromptQueue, type QueuedPrompt } from './prompt/queue.ts';
import { serverFeatures, SocketTable, type ServerFeatures } from './server/sockets.ts';
import { ServerLog } from './server/server-log.ts';
import type { Catalogue } from './nodes/node.ts';
import type { Profile } from './profile.ts';

export interface ProcessOptions {
  readonly catalogue: Catalogue;
  /** The order in which output nodes start. In ComfyUI it is hash order, different in each process. */
  readonly orderOutputs: (ids: readonly string[]) => readonly string[];
  readonly speed: number;
  readonly previews: boolean;
  readonly historyCapacity: number;
  readonly maxUploadBytes: number | undefined;
  /** The editor's build. */
  readonly frontEndRoot: string | undefined;
  /** The JSON of subgraph blueprints by name. */
  readonly blueprints: ReadonlyMap<string, string>;
  readonly logger?: Logger | undefined;
  /** Gets the lines that ComfyUI would print. */
  readonly print?: ((line: string) => void) | undefined;
  readonly log: EventLog;
  readonly faults: Faults;
  /** Called when a prompt ends. */
  onPrompt(times: PromptTimes): void;
  /** Called when a node crashes the process. */
  onCrash(): void;
}

/**
 * The memory of one ComfyUI process; all of it is lost when the process ends. `server/server.ts` is the HTTP server in
 * front of it.
 */
export class ComfyProcess {
  readonly queue: PromptQueue;
  readonly history: History;
  readonly features: ServerFeatures;
  readonly sockets: SocketTable;
  readonly serverLog: ServerLog;
  readonly events: PromptEvents;
  readonly executor: Executor;
  readonly #options: ProcessOptions;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  #counter = 0;

  constructor(options: ProcessOptions) {
    const { catalogue, speed, previews, log, logger } = options;
    this.#options = options;
    this.features = serverFeatures(this.profile, options.maxUploadBytes);
    this.sockets = new SocketTable(this.features);
    this.serverLog = new ServerLog(this.sockets, {
      tagsLogs: this.profile.tagsLogs,
      print: options.print,
    });
    this.history = new History(options.historyCapacity);
    this.events = new PromptEvents(this.sockets, log, { previews });
    this.queue = new PromptQueue(() => this.events.status(this.queue.remaining));
    this.executor = new Executor({
      queue: this.queue,
      events: this.events,
      signal: this.#ended.signal,
      finish: (prompt, outcome, startedAt) => this.#finish(prompt, outcome, startedAt),
      crash: () => options.onCrash(),
      ...{ catalogue, speed, log, logger },
    });
    this.#running = this.executor.run();
  }

  get catalogue(): Catalogue {
    return this.#options.catalogue;
  }

  get profile(): Profile {
    return this.#options.catalogue.profile;
  }

  get frontEndRoot(): string | undefined {
    return this.#options.frontEndRoot;
  }

  get blueprints(): ReadonlyMap<string, string> {
    return this.#options.blueprints;
  }

  orderOutputs(ids: readonly string[]): readonly string[] {
    return this.#options.orderOutputs(ids);
  }

  get faults(): Faults {
    return this.#options.faults;
  }

  get log(): EventLog {
    return this.#options.log;
  }

  /** The next prompt number, from 0 in each process. */
  nextNumber(): number {
    return this.#counter++;
  }

  enqueue(prompt: QueuedPrompt): void {
    const clientId = prompt.extraData.get('client_id');
    const client = typeof clientId === 'string' ? { clientId } : {};
    this.#options.log.announce('accepted', { promptId: prompt.promptId, ...client });
    this.queue.put(prompt);
  }

  /** Stops the executor. A node that does not end within `END_TIMEOUT_MS` is abandoned. */
  async end(): Promise<void> {
    this.#ended.abort();
    const timeout = new AbortController();
    const timedOut = sleep(END_TIMEOUT_MS, undefined, { signal: timeout.signal, ref: false });
    await Promise.race([this.#running, timedOut.catch(() => undefined)]);
    timeout.abort();
  }

  #finish(prompt: QueuedPrompt, outcome: Outcome, startedAt: number): void {
    const { promptId, queuedAt } = prompt;
    const { succeeded } = outcome;
    const endedAt = epochMs();
    this.#options.onPrompt({ promptId, queuedAt, startedAt, endedAt, succeeded });
    const seconds = ((endedAt - startedAt) / 1000).toFixed(2);
    const failure = outcome.messages.find(([type]) => type === 'execution_error')?.[1];
    if (failure) {
      const text = String(failure.exception_message).trimEnd();
      this.serverLog.add(`!!! Exception during processing !!! ${text}`, 'ERROR');
    }
    this.serverLog.add(`Prompt executed in ${seconds} seconds`);
    const addToHistory = () => {
      this.history.add(prompt, outcome);
      this.#options.log.announce('history', { promptId });
    };
    const delay = this.faults.historyDelay();
    if (delay) void delay.then(addToHistory);
    else addToHistory();
  }
}

const END_TIMEOUT_MS = 2_000;
