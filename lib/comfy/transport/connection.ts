import { randomUUID } from 'node:crypto';
import { WebSocket } from 'ws';
import type { Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ComfySettings } from '../settings.ts';
import { USER_AGENT } from '../../version.ts';
import { describeConnectionError, withTimeout, type TimeLimit } from './request-failure.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly settings: Pick<ComfySettings, 'pingIntervalMs' | 'trace' | 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Called for each frame while the socket is read: it must be quick and must not throw. */
  readonly onFrame: (frame: Buffer, isBinary: boolean) => void;
  /** Called once, when an open connection has ended for whatever reason. */
  readonly onLost: (connection: Connection, reason: string) => void;
}

/**
 * One websocket from its opening to its end. Each connection has its own client id: ComfyUI keeps one socket per id, and
 * when it notices late that the old socket is gone, it removes the new one of the same id (`server.py`,
 * `websocket_handler`).
 *
 * The connection sends a ping in every interval. After two intervals without any frame it counts as half-open and is cut,
 * so that every loss looks the same.
 */
export class Connection implements AsyncDisposable {
  readonly clientId = randomUUID();
  readonly #socket: WebSocket;
  readonly #options: ConnectionOptions;
  readonly #ended = new AbortController();
  #lastFrameAt: number;
  #lossReason = 'Connection to remote host was lost.';

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#lastFrameAt = options.clock.now();
    this.#socket = new WebSocket(`${options.url}?clientId=${this.clientId}`, {
      headers: { 'user-agent': USER_AGENT },
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      skipUTF8Validation: true,
    });
  }

  /** @throws WorkerError `comfy.socket_failed`, with texts that clients match on. */
  static async open(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
    const connection = new Connection(options);
    const ms = options.settings.limits.connectMs;
    try {
      await withTimeout(
        { ms, what: 'opening the websocket', clock: options.clock, signal },
        (inTime) => connection.#opened(inTime),
      );
      return connection;
    } catch (error) {
      connection.#socket.terminate();
      if (signal?.aborted) throw signal.reason;
      throw openingFailed(error);
    }
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /** Whether the peer is alive: it sent something just now, or answers a ping at once. If not, the connection is cut. */
  async verify(signal?: AbortSignal): Promise<boolean> {
    const { clock, settings } = this.#options;
    if (!this.isOpen) return false;
    if (clock.now() - this.#lastFrameAt < settings.limits.trustedSilenceMs) return true;
    const limit: TimeLimit = { ms: settings.limits.quickPingMs, what: 'a ping', clock, signal };
    try {
      await withTimeout(limit, (inTime) => {
        const answered = new Promise((resolve) => this.#socket.once('pong', resolve));
        this.#socket.ping(noop);
        return Promise.race([answered, rejectOnAbort(inTime)]);
      });
      return true;
    } catch {
      signal?.throwIfAborted();
      this.#cut('no answer to a ping');
      return false;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = new Promise((resolve) => this.#socket.once('close', resolve));
    this.#socket.close(1000);
    await withTimeout(
      { ms: CLOSING_MS, what: 'closing the websocket', clock: this.#options.clock },
      (inTime) => Promise.race([closed, rejectOnAbort(inTime)]),
    ).catch(() => this.#socket.terminate());
  }

  #opened(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.on('error', reject);
      socket.once('unexpected-response', (request, { statusCode = 0, statusMessage = '' }) => {
        request.destroy();
        reject(new Error(`Handshake status ${statusCode} ${statusMessage}`.trimEnd()));
      });
      socket.once('close', () => reject(new Error(this.#lossReason)));
      socket.once('open', () => {
        this.#readFrames();
        void this.#sendPings();
        resolve();
      });
    });
  }

  #readFrames(): void {
    const { settings, clock, log, onFrame, onLost } = this.#options;
    this.#socket.on('message', (data, isBinary) => {
      this.#lastFrameAt = clock.now();
      const frame = data as Buffer;
      if (settings.trace)
        log.trace(
          isBinary
            ? { bytes: frame.length, head: frame.toString('hex', 0, 8) }
            : { text: frame.toString('utf8', 0, TRACED_BYTES) },
          'Websocket frame',
        );
      onFrame(frame, isBinary);
    });
    const onPing = () => (this.#lastFrameAt = clock.now());
    this.#socket.on('ping', onPing);
    this.#socket.on('pong', onPing);
    this.#socket.on('error', (error) => (this.#lossReason = describeConnectionError(error)));
    this.#socket.once('close', () => {
      this.#ended.abort();
      onLost(this, this.#lossReason);
    });
  }

  /** Counts unanswered pings rather than time, so that a machine that slept does not lose its connection. */
  async #sendPings(): Promise<void> {
    const { clock, settings } = this.#options;
    for (let unanswered = 0; !this.#ended.signal.aborted;) {
      const sentAt = clock.now();
      this.#socket.ping(noop);
      await clock.sleep(settings.pingIntervalMs, this.#ended.signal).catch(noop);
      unanswered = this.#lastFrameAt >= sentAt ? 0 : unanswered + 1;
      if (unanswered >= 2) this.#cut(`no answer to ${unanswered} pings`);
    }
  }

  #cut(reason: string): void {
    this.#lossReason = reason;
    this.#socket.terminate();
  }
}

function rejectOnAbort(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
}

/** Clients tell the two prefixes apart: one for connection errors, one for everything about the websocket itself. */
function openingFailed(error: unknown): WorkerError {
  const text = describeConnectionError(error);
  const prefix = text.startsWith('[Errno')
    ? 'An unexpected error occurred'
    : 'WebSocket communication error';
  return new WorkerError('comfy.socket_failed', `${prefix}: ${text}`, { cause: error });
}

const noop = () => undefined;

/** Large, because finished images can come through the socket (SaveImageWebsocket) and some nodes output long texts. */
const MAX_FRAME_BYTES = 1024 ** 3;
const CLOSING_MS = 1000;
const TRACED_BYTES = 500;
