import type { Clock } from '../../clock.ts';
import { isError, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from './client.ts';
import { Connection } from './connection.ts';
import { parseMessage, type PromptEvent } from './messages.ts';
import { describeConnectionError, isTimeout, retryRequest } from './request-failure.ts';

/** Receives what the socket reports about one prompt. Called while the socket is read: it must be quick. */
export interface PromptListener {
  onEvent(event: PromptEvent): void;
  /** Something changed in ComfyUI's queue, which has this many prompts now. */
  onQueueChange(remaining: number | undefined): void;
  /** Queue and history are to be asked about the prompt. */
  wake(): void;
  /** A binary frame. It does not say which prompt it belongs to. */
  onBinary(frame: Buffer): void;
  /** The connection with this client id is gone. No more events come for prompts submitted under that id. */
  onDisconnect(clientId: string): void;
}

interface SocketParts {
  readonly client: ComfyClient;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called when an open connection was lost while no prompt was followed. */
  readonly onIdleLoss?: () => void;
}

/**
 * The one websocket to ComfyUI, kept between jobs.
 *
 * ```
 *   closed ── connect() ──► open ── lost ──► closed ── reconnect(), while a prompt runs ──► open
 *                                                └──── connect(), for the next prompt ────► open
 * ```
 *
 * Without a prompt nothing reconnects: the next `connect` opens a new connection.
 */
export class ComfySocket implements AsyncDisposable {
  readonly #parts: SocketParts;
  readonly #listeners = new Map<string, PromptListener>();
  readonly #connecting: SharedTask<Connection>;
  readonly #reconnecting: SharedTask<Connection>;
  #connection: Connection | undefined;
  #isClosed = false;
  #lossReason = 'Connection to remote host was lost.';
  #reconnectedAt = -Infinity;
  #lastMessageAt: number | undefined;

  constructor(parts: SocketParts) {
    const { clock } = parts;
    this.#parts = parts;
    this.#connecting = new SharedTask((signal) =>
      retryRequest(() => this.#open(signal), { clock, signal }),
    );
    this.#reconnecting = new SharedTask((signal) => this.#reopen(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#connecting.cancel(closedError());
    this.#reconnecting.cancel(closedError());
    await this.#connection?.[Symbol.asyncDispose]();
  }

  /** The client id of the open connection; undefined when there is none. */
  get clientId(): string | undefined {
    return this.#live?.clientId;
  }

  /** When the last message of ComfyUI came, by the clock, on any connection. */
  get lastMessageAt(): number | undefined {
    return this.#lastMessageAt;
  }

  get isConnected(): boolean {
    return this.#live !== undefined;
  }

  /** Whether a prompt is being followed. */
  get isBusy(): boolean {
    return this.#listeners.size > 0;
  }

  /** Lets all prompts ask queue and history. */
  lookNow(): void {
    for (const listener of this.#listeners.values()) listener.wake();
  }

  /**
   * Whether there is a connection and its peer is alive. While a prompt is followed, an open one counts as alive: a node may
   * hold up ComfyUI's answers, and its regular pings find out.
   */
  async isAlive(signal?: AbortSignal): Promise<boolean> {
    if (this.isBusy) return this.isConnected;
    return (await this.#live?.verify(signal)) ?? false;
  }

  /**
   * Opens a connection unless there is one. It can be lost at any time, even before the caller uses it.
   * @throws WorkerError `comfy.socket_failed`
   */
  async connect(signal?: AbortSignal): Promise<Connection> {
    return this.#live ?? (await this.#connecting.run(signal));
  }

  /**
   * Opens a new connection after a loss. Tries as often as the settings allow, while ComfyUI answers over HTTP. All
   * callers share the attempts.
   * @throws WorkerError `comfy.socket_failed`, with texts that clients match on.
   */
  async reconnect(signal?: AbortSignal): Promise<Connection> {
    return this.#live ?? (await this.#reconnecting.run(signal));
  }

  /** Reports events of this prompt to `listener`. @returns a function that ends this. */
  listen(promptId: string, listener: PromptListener): () => void {
    this.#listeners.set(promptId, listener);
    return () => this.#listeners.delete(promptId);
  }

  get #live(): Connection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    if (this.#isClosed) throw closedError();
    const { client, settings, clock, log } = this.#parts;
    const url = client.urlOf('/ws').replace(/^http/, 'ws');
    const onLost = (lost: Connection, reason: string) => {
      this.#lossReason = reason;
      const prompts = this.#listeners.size;
      const facts = { clientId: lost.clientId, reason, prompts };
      log[prompts > 0 ? 'warn' : 'debug'](facts, 'Lost the websocket to ComfyUI');
      for (const listener of this.#listeners.values()) listener.onDisconnect(lost.clientId);
      if (prompts === 0) this.#parts.onIdleLoss?.();
    };
    const connection = await Connection.open(
      { url, settings, clock, log, onFrame: this.#dispatch, onLost },
      signal,
    );
    log.debug({ clientId: connection.clientId }, 'Opened a websocket to ComfyUI');
    return (this.#connection = connection);
  }

  async #reopen(signal: AbortSignal): Promise<Connection> {
    const { settings, clock, log } = this.#parts;
    const { attempts, delayMs } = settings.reconnect;
    const dueMs = this.#reconnectedAt + delayMs - clock.now();
    await clock.sleep(Math.min(delayMs, Math.max(0, dueMs)), signal); // min: the clock may have been set back
    let lastError = this.#lossReason;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      log.info({ attempt, reason: this.#lossReason }, 'Reconnecting to ComfyUI');
      await this.#untilAnswering(signal);
      try {
        const connection = await this.#connecting.run(signal);
        this.#reconnectedAt = clock.now();
        return connection;
      } catch (error) {
        signal.throwIfAborted();
        lastError = describeConnectionError(isError(error) ? (error.cause ?? error) : error);
      }
      if (attempt < attempts) await clock.sleep(delayMs, signal);
    }
    throw new WorkerError(
      'comfy.socket_failed',
      `WebSocket communication error: Connection closed and failed to reconnect. Last error: ${lastError}`,
    );
  }

  /** A port that accepts but does not answer is no failure yet: a node may hold Python's global lock. */
  async #untilAnswering(signal: AbortSignal): Promise<void> {
    const { client, settings, clock } = this.#parts;
    const startedAt = clock.now();
    for (;;) {
      try {
        await client.probe(signal);
        return;
      } catch (cause) {
        if (signal.aborted) throw cause;
        const isPatient = clock.now() - startedAt < settings.silentPortMs;
        if (!isTimeout(cause) || !isPatient) throw unreachableError(cause);
      }
    }
  }

  readonly #dispatch = (frame: Buffer, isBinary: boolean): void => {
    this.#lastMessageAt = this.#parts.clock.now();
    const listeners = this.#listeners.values();
    if (isBinary) {
      for (const listener of listeners) listener.onBinary(frame);
      return;
    }
    const message = parseMessage(frame);
    if (message?.type === 'status') {
      for (const listener of listeners) listener.onQueueChange(message.remaining);
    } else if (message) {
      this.#listeners.get(message.promptId)?.onEvent(message);
    }
  };
}

/** Work that several callers wait for. It runs once, and is aborted when the last caller has left. */
class SharedTask<T> {
  readonly #work: (signal: AbortSignal) => Promise<T>;
  #current:
    { readonly result: Promise<T>; readonly stop: AbortController; waiting: number } | undefined;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.#work = work;
  }

  /** Joins the current run or starts one. Rejects with the signal's reason when that comes first. */
  async run(signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const task = (this.#current ??= this.#start());
    task.waiting++;
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal?.reason);
    signal?.addEventListener('abort', leave);
    try {
      return await Promise.race([task.result, left.promise]);
    } finally {
      signal?.removeEventListener('abort', leave);
      if (--task.waiting === 0) task.stop.abort(signal?.reason);
    }
  }

  /** Aborts the current run for all callers. */
  cancel(reason: unknown): void {
    this.#current?.stop.abort(reason);
  }

  #start() {
    const stop = new AbortController();
    const result = this.#work(stop.signal);
    const task = { result, stop, waiting: 0 };
    const clear = () => {
      if (this.#current === task) this.#current = undefined;
    };
    stop.signal.addEventListener('abort', clear);
    result.then(clear, clear);
    return task;
  }
}

function closedError(): WorkerError {
  return new WorkerError('comfy.socket_failed', 'The client for ComfyUI is closed');
}

function unreachableError(cause: unknown): WorkerError {
  const text = 'WebSocket communication error: ComfyUI HTTP unreachable during websocket reconnect';
  return new WorkerError('comfy.socket_failed', text, { cause });
}
