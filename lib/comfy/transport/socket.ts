import type { Clock } from '../../clock.ts';
import { isError, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ComfyClient } from './client.ts';
import { Connection } from './connection.ts';
import { parseMessage, type PromptEvent } from './messages.ts';
import { repeated } from './repeated.ts';
import { describeConnectionError } from './request-error.ts';
import type { ComfySettings } from '../local/settings.ts';
import { SharedTask } from './shared-task.ts';

/** Somebody who follows a prompt. The calls come on the socket's turn and must be quick. */
export interface PromptListener {
  onEvent(event: PromptEvent): void;
  /** Something changed in ComfyUI's queue. */
  onStatus(): void;
  /** A frame that belongs to whatever runs. */
  onBinary(frame: Buffer): void;
  /** The connection of this client id is gone; with its id, nothing will come any more. */
  onLost(clientId: string): void;
}

export interface SocketParts {
  readonly client: ComfyClient;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The one websocket, kept between jobs.
 *
 * ```
 *   closed ── connect() ──► open ── lost ──► closed ── reconnect(), while a prompt is followed ──► open
 *                                                └──── connect(), when the next one comes ───────► open
 * ```
 *
 * Nothing reconnects while nobody follows a prompt: the next `connect` opens a new one.
 */
export class ComfySocket implements AsyncDisposable {
  readonly #parts: SocketParts;
  readonly #listeners = new Map<string, PromptListener>();
  readonly #connecting: SharedTask<Connection>;
  readonly #reconnecting: SharedTask<Connection>;
  #connection: Connection | undefined;
  #closed = false;
  #lostBecause = 'Connection to remote host was lost.';
  /** When the connection was last opened again after a loss. */
  #reconnectedAt = -Infinity;

  constructor(parts: SocketParts) {
    this.#parts = parts;
    this.#connecting = new SharedTask((signal) => repeated(() => this.#open(signal), signal));
    this.#reconnecting = new SharedTask((signal) => this.#openAgain(signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    this.#connecting.cancel(closedError());
    this.#reconnecting.cancel(closedError());
    await this.#connection?.[Symbol.asyncDispose]();
  }

  /** The client id of the open connection; undefined when there is none. */
  get clientId(): string | undefined {
    return this.#live?.clientId;
  }

  /** Whether there is a connection and its other end is alive: trusted if it spoke just now, else asked. */
  async isAlive(signal?: AbortSignal): Promise<boolean> {
    return (await this.#live?.verify(signal)) ?? false;
  }

  /**
   * Sees to an open connection. It may be lost again at any time, also before the caller gets to use it.
   * @throws WorkerError `comfy.socket_failed`
   */
  async connect(signal?: AbortSignal): Promise<Connection> {
    return this.#live ?? (await this.#connecting.run(signal));
  }

  /**
   * After a loss: tries as often as the settings allow, as long as ComfyUI answers at all. All who wait share the tries.
   * @throws WorkerError `comfy.socket_failed` with the text clients know.
   */
  async reconnect(signal?: AbortSignal): Promise<Connection> {
    return this.#live ?? (await this.#reconnecting.run(signal));
  }

  /** From now on `listener` hears what is said about this prompt, until the function returned is called. */
  listen(promptId: string, listener: PromptListener): () => void {
    this.#listeners.set(promptId, listener);
    return () => this.#listeners.delete(promptId);
  }

  get #live(): Connection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    if (this.#closed) throw closedError();
    const { client, settings, clock, log } = this.#parts;
    const url = client.urlOf('/ws').replace(/^http/, 'ws');
    const connection = await Connection.open(
      {
        url,
        settings,
        clock,
        log,
        onText: (frame) => this.#dispatch(frame),
        onBinary: (frame) => this.#eachListener((listener) => listener.onBinary(frame)),
        onLost: (lost, reason) => this.#lost(lost, reason),
      },
      signal,
    );
    log.debug({ clientId: connection.clientId }, 'websocket to ComfyUI is open');
    return (this.#connection = connection);
  }

  async #openAgain(signal: AbortSignal): Promise<Connection> {
    const { client, settings, clock, log } = this.#parts;
    const { attempts, delayMs } = settings.reconnect;
    const dueMs = this.#reconnectedAt + delayMs - clock.now();
    await clock.sleep(Math.min(delayMs, Math.max(0, dueMs)), signal); // a clock may be set back
    let lastError = this.#lostBecause;
    for (let attempt = 1; attempt <= attempts; attempt++) {
      log.info({ attempt, reason: this.#lostBecause }, 'reconnecting to ComfyUI');
      await client.probe(signal).catch((cause: unknown) => {
        throw signal.aborted ? cause : unreachable(cause);
      });
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

  #lost({ clientId }: Connection, reason: string): void {
    this.#lostBecause = reason;
    const following = this.#listeners.size;
    const level = following > 0 ? 'warn' : 'debug';
    this.#parts.log[level]({ clientId, reason, following }, 'websocket to ComfyUI is lost');
    this.#eachListener((listener) => listener.onLost(clientId));
  }

  #dispatch(frame: Buffer): void {
    const message = parseMessage(frame);
    if (message === undefined) return;
    if (message.type === 'status') this.#eachListener((listener) => listener.onStatus());
    else this.#listeners.get(message.promptId)?.onEvent(message);
  }

  #eachListener(tell: (listener: PromptListener) => void): void {
    for (const listener of this.#listeners.values()) tell(listener);
  }
}

function closedError(): WorkerError {
  return new WorkerError('comfy.socket_failed', 'The client for ComfyUI is closed');
}

function unreachable(cause: unknown): WorkerError {
  const text = 'WebSocket communication error: ComfyUI HTTP unreachable during websocket reconnect';
  return new WorkerError('comfy.socket_failed', text, { cause });
}
