import { setTimeout as sleep } from 'node:timers/promises';
import { matches, type EventLog, type EventMatch } from './event-log.ts';
import type { Executor } from './prompt/executor.ts';
import type { SocketBreak, SocketTable } from './server/sockets.ts';

/** Ends a fault. Calling it twice does nothing. */
export type Release = () => void;

export interface BreakOptions {
  /** The next time this happens, before its message is sent; at once when left out. */
  readonly at?: EventMatch;
  /** The sockets of this client; of all when left out. */
  readonly clientId?: string;
  /** How many times it happens, one unless told otherwise. */
  readonly times?: number;
}

/** How an answer goes wrong. `request` is the beginning of `GET /history/...`, without `/api`. */
export interface AnswerFault {
  readonly request: string;
  /**
   * - `refuse`: the status, without doing anything
   * - `break`: everything is done, then the status is answered
   * - `lose`: everything is done, then the connection is reset
   * - `delay`: everything is done, then the answer waits
   */
  readonly how: 'refuse' | 'break' | 'lose' | 'delay';
  /** 500 unless told otherwise. */
  readonly status?: number;
  readonly delayMs?: number;
  /** How many requests it meets, one unless told otherwise. */
  readonly times?: number;
}

export interface ViewFault {
  readonly bytesPerSecond?: number;
  /** The connection is reset after this many bytes of the body. */
  readonly truncateAtBytes?: number;
}

/** What ends and starts the simulated process; see `simulator.ts`. */
export interface Lifecycle {
  current(): { readonly sockets: SocketTable; readonly executor: Executor };
  die(): Promise<void>;
  restart(): Promise<void>;
}

/** Everything that can be made to go wrong while the server runs. A fault lasts until it is released or used up. */
export class Faults {
  readonly #log: EventLog;
  readonly #lifecycle: Lifecycle;
  readonly #answers = new Set<{ readonly fault: AnswerFault; left: number }>();
  #refusedSockets: number | 'reset' | undefined;
  #refusesConnections = false;
  #history: (() => Promise<unknown>) | undefined;
  #view: ViewFault | undefined;

  constructor(log: EventLog, lifecycle: Lifecycle) {
    this.#log = log;
    this.#lifecycle = lifecycle;
  }

  /** Ends websockets, or makes them half-open. Resolves when it has happened as often as asked. */
  breakSockets(how: SocketBreak, options: BreakOptions = {}): Promise<void> {
    const { at, clientId, times = 1 } = options;
    const breakNow = () => void this.#lifecycle.current().sockets.break(how, clientId);
    if (!at) {
      breakNow();
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let left = times;
    const stop = this.#log.listen((event) => {
      if (!matches(event, at)) return;
      breakNow();
      left--;
      if (left > 0) return;
      stop();
      resolve(undefined);
    });
    return promise;
  }

  /** New websockets get this status instead of a handshake, or a TCP reset. */
  refuseSockets(how: number | 'reset'): Release {
    this.#refusedSockets = how;
    return () => (this.#refusedSockets = undefined);
  }

  /** New TCP connections are reset. Those that are open stay. */
  refuseConnections(): Release {
    this.#refusesConnections = true;
    return () => (this.#refusesConnections = false);
  }

  /**
   * Prompts that end get into the history only after `ms`, or after release. Everything else about them is over: they
   * are neither in the queue nor in the history.
   */
  delayHistory(ms?: number): Release {
    const released = Promise.withResolvers<undefined>();
    this.#history = () =>
      ms === undefined
        ? released.promise
        : Promise.race([released.promise, sleep(ms, undefined, { ref: false })]);
    return () => {
      this.#history = undefined;
      released.resolve(undefined);
    };
  }

  failAnswers(fault: AnswerFault): Release {
    const entry = { fault, left: fault.times ?? 1 };
    this.#answers.add(entry);
    return () => this.#answers.delete(entry);
  }

  /** Everything served by `/view`. */
  failViews(fault: ViewFault): Release {
    this.#view = fault;
    return () => (this.#view = undefined);
  }

  /** The client's socket stays open, but the server no longer knows it: ComfyUI's bug with two sockets of one id. */
  dropRegistration(clientId?: string): void {
    this.#lifecycle.current().sockets.forget(clientId);
  }

  /** No socket gets anything, as when one of them does not read. Messages wait and come after release. */
  stallPublisher(): Release {
    const released = Promise.withResolvers<undefined>();
    const { sockets } = this.#lifecycle.current();
    sockets.hold(released.promise);
    return () => {
      sockets.hold(undefined);
      released.resolve(undefined);
    };
  }

  /** The executor dies at its next step; HTTP goes on, and what runs seems to run for ever. */
  killExecutor(): void {
    this.#lifecycle.current().executor.kill();
  }

  /** Ends the process as `kill -9` would: all connections are closed, the port refuses, nothing is remembered. */
  die(): Promise<void> {
    return this.#lifecycle.die();
  }

  /** A new process on the same port: empty queue, history and cache, counters from 0, an empty temp folder. */
  restart(): Promise<void> {
    return this.#lifecycle.restart();
  }

  /** For the server: what to do to a new websocket. */
  get refusedSockets(): number | 'reset' | undefined {
    return this.#refusedSockets;
  }

  /** For the server. */
  get refusesConnections(): boolean {
    return this.#refusesConnections;
  }

  /** For the server. */
  get view(): ViewFault | undefined {
    return this.#view;
  }

  /** For the executor: when the entry of a prompt that ends now may be seen. */
  historyDelay(): Promise<unknown> | undefined {
    return this.#history?.();
  }

  /** For the server: the fault this request meets, which is thereby used. */
  useAnswerFault(request: string): AnswerFault | undefined {
    for (const entry of this.#answers) {
      if (!request.startsWith(entry.fault.request)) continue;
      entry.left--;
      if (entry.left <= 0) this.#answers.delete(entry);
      return entry.fault;
    }
    return undefined;
  }
}
