import { setTimeout as sleep } from 'node:timers/promises';
import { matches, type EventLog, type EventMatch } from './event-log.ts';
import type { Executor } from './prompt/executor.ts';
import type { SocketBreak, SocketTable } from './server/sockets.ts';

/** Ends a fault. Idempotent. */
export type EndFault = () => void;

export interface BreakOptions {
  /** When the next matching event happens, before its message is sent. Default: immediately. */
  readonly at?: EventMatch;
  /** Only the sockets of this client. Default: all sockets. */
  readonly clientId?: string;
  /** How many matching events break sockets. Default 1. */
  readonly times?: number;
}

/** How an answer fails. */
export interface AnswerFault {
  /** Prefix of method and path, without `/api`: `GET /history`. */
  readonly request: string;
  /**
   * - `refuse`: answers the status; the request has no effect
   * - `break`: handles the request, then answers the status
   * - `lose`: handles the request, then resets the connection
   * - `delay`: handles the request, then delays the answer
   */
  readonly how: 'refuse' | 'break' | 'lose' | 'delay';
  /** Default 500. */
  readonly status?: number;
  readonly delayMs?: number;
  /** How many requests fail. Default 1. */
  readonly times?: number;
}

export interface ViewFault {
  readonly bytesPerSecond?: number;
  /** The connection is reset after this many bytes of the body. */
  readonly truncateAtBytes?: number;
}

/** The part of the simulator that ends and starts the process; see `simulator.ts`. */
export interface Lifecycle {
  current(): { readonly sockets: SocketTable; readonly executor: Executor };
  die(): Promise<void>;
  restart(): Promise<void>;
}

/** Faults that tests can inject while the server runs. A fault lasts until it is ended or used up. */
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

  /** Closes websockets or makes them half-open. Resolves when it has happened `times` times. */
  breakSockets(how: SocketBreak, options: BreakOptions = {}): Promise<void> {
    const { at, clientId, times = 1 } = options;
    const breakNow = () => this.#lifecycle.current().sockets.break(how, clientId);
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

  /** New websockets get this HTTP status or a TCP reset instead of a handshake. */
  refuseSockets(how: number | 'reset'): EndFault {
    this.#refusedSockets = how;
    return () => (this.#refusedSockets = undefined);
  }

  /** New TCP connections are reset. Open ones stay open. */
  refuseConnections(): EndFault {
    this.#refusesConnections = true;
    return () => (this.#refusesConnections = false);
  }

  /**
   * Prompts that end appear in the history only after `ms`, or when the fault is ended. Until then they are neither in
   * the queue nor in the history.
   */
  delayHistory(ms?: number): EndFault {
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

  failAnswers(fault: AnswerFault): EndFault {
    const entry = { fault, left: fault.times ?? 1 };
    this.#answers.add(entry);
    return () => this.#answers.delete(entry);
  }

  /** Slows down or truncates all answers of `/view`. */
  failViews(fault: ViewFault): EndFault {
    this.#view = fault;
    return () => (this.#view = undefined);
  }

  /** The client's socket stays open but gets no messages, as after ComfyUI's bug with two sockets of one id. */
  dropRegistration(clientId?: string): void {
    this.#lifecycle.current().sockets.forget(clientId);
  }

  /** No socket gets messages, as when one client does not read. They are sent when the fault is ended. */
  stallPublisher(): EndFault {
    const released = Promise.withResolvers<undefined>();
    const { sockets } = this.#lifecycle.current();
    sockets.hold(released.promise);
    return () => {
      sockets.hold(undefined);
      released.resolve(undefined);
    };
  }

  /** The executor dies at its next step. HTTP goes on, and the running prompt stays in the queue for ever. */
  killExecutor(): void {
    this.#lifecycle.current().executor.kill();
  }

  /** Ends the process like `kill -9`: connections are closed, the port refuses, all memory is lost. */
  die(): Promise<void> {
    return this.#lifecycle.die();
  }

  /** Starts a new process on the same port: empty queue, history, cache and temp folder, counters from 0. */
  restart(): Promise<void> {
    return this.#lifecycle.restart();
  }

  /** For the server: how to refuse new websockets, if at all. */
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

  /** For the executor: resolves when a prompt that ends now may enter the history. Undefined: at once. */
  historyDelay(): Promise<unknown> | undefined {
    return this.#history?.();
  }

  /** For the server: the fault for this request, if any; it counts as used. */
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
