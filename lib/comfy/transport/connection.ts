import { randomUUID } from 'node:crypto';
import { WebSocket, type RawData } from 'ws';
import type { Clock } from '../../clock.ts';
import { WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { describeConnectionError } from './request-error.ts';
import type { ComfySettings } from '../local/settings.ts';
import { within } from './within.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly settings: Pick<ComfySettings, 'pingIntervalMs' | 'trace' | 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Gets every text frame, on the socket's own turn: it must be quick and must not throw. */
  readonly onText: (frame: Buffer) => void;
  /** Gets every binary frame, in the same way. */
  readonly onBinary: (frame: Buffer) => void;
  /** Called once, when a connection that was open has ended for whatever reason. */
  readonly onLost: (connection: Connection, reason: string) => void;
}

/**
 * One websocket from its opening to its end. It has a client id of its own: ComfyUI keeps one socket per id, and when it
 * notices the end of the old one late, it forgets the new one (`server.py`, `websocket_handler`).
 *
 * Whoever is on the other end is asked with a ping at every interval. Two intervals without a sound mean that the
 * connection is half-open; it is then cut, so that losing it always looks the same.
 */
export class Connection implements AsyncDisposable {
  readonly clientId = randomUUID();
  readonly #socket: WebSocket;
  readonly #options: ConnectionOptions;
  readonly #ended = new AbortController();
  #lastHeardAt: number;
  #lostBecause = 'Connection to remote host was lost.';

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#lastHeardAt = options.clock.now();
    this.#socket = new WebSocket(`${options.url}?clientId=${this.clientId}`, {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      skipUTF8Validation: true,
    });
  }

  /** @throws WorkerError `comfy.socket_failed`, whose message is what clients know. */
  static async open(options: ConnectionOptions, signal?: AbortSignal): Promise<Connection> {
    const connection = new Connection(options);
    const bound = {
      ms: options.settings.limits.connectMs,
      what: 'opening the websocket',
      clock: options.clock,
      signal,
    };
    try {
      await within(bound, (inTime) => connection.#opened(inTime));
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

  /** Whether the other end is there: it was heard of just now, or answers a ping at once. If not, the connection is cut. */
  async verify(signal?: AbortSignal): Promise<boolean> {
    const { clock, settings } = this.#options;
    if (!this.isOpen) return false;
    if (clock.now() - this.#lastHeardAt < settings.limits.trustedSilenceMs) return true;
    try {
      const bound = { ms: settings.limits.quickPingMs, what: 'a ping', clock, signal };
      await within(bound, (inTime) => this.#pong(inTime));
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
    const bound = { ms: CLOSING_MS, what: 'closing the websocket', clock: this.#options.clock };
    await within(bound, (inTime) => Promise.race([closed, aborted(inTime)])).catch(() =>
      this.#socket.terminate(),
    );
  }

  #opened(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = this.#socket;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      socket.on('error', reject);
      socket.once('unexpected-response', (request, response) => {
        request.destroy();
        reject(handshakeRefused(response.statusCode, response.statusMessage));
      });
      socket.once('close', () => reject(new Error(this.#lostBecause)));
      socket.once('open', () => {
        this.#listen();
        resolve();
      });
    });
  }

  #listen(): void {
    const { onText, onBinary, onLost } = this.#options;
    const socket = this.#socket;
    socket.on('message', (data, isBinary) => {
      this.#heard();
      this.#trace(data, isBinary);
      if (isBinary) onBinary(data as Buffer);
      else onText(data as Buffer);
    });
    socket.on('pong', () => this.#heard());
    socket.on('ping', () => this.#heard());
    socket.on('error', (error) => (this.#lostBecause = describeConnectionError(error)));
    socket.once('close', () => {
      this.#ended.abort();
      onLost(this, this.#lostBecause);
    });
    void this.#watch();
  }

  #heard(): void {
    this.#lastHeardAt = this.#options.clock.now();
  }

  /** Pings for as long as the connection lives. Counts pings, not hours: a machine that slept is given its chance. */
  async #watch(): Promise<void> {
    const { clock, settings } = this.#options;
    for (let unanswered = 0; !this.#ended.signal.aborted;) {
      const askedAt = clock.now();
      this.#socket.ping(noop);
      await clock.sleep(settings.pingIntervalMs, this.#ended.signal).catch(noop);
      unanswered = this.#lastHeardAt >= askedAt ? 0 : unanswered + 1;
      if (unanswered >= 2) this.#cut(`no answer to ${unanswered} pings`);
    }
  }

  #pong(signal: AbortSignal): Promise<unknown> {
    const answered = new Promise((resolve) => this.#socket.once('pong', resolve));
    this.#socket.ping(noop);
    return Promise.race([answered, aborted(signal)]);
  }

  #cut(reason: string): void {
    this.#lostBecause = reason;
    this.#socket.terminate();
  }

  #trace(data: RawData, isBinary: boolean): void {
    if (!this.#options.settings.trace) return;
    const frame = data as Buffer;
    this.#options.log.trace(
      isBinary
        ? { bytes: frame.length, head: frame.toString('hex', 0, 8) }
        : { text: frame.toString('utf8', 0, TRACED_BYTES) },
      'websocket frame',
    );
  }
}

/** Rejects when the signal is aborted; never resolves. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason), { once: true }),
  );
}

function handshakeRefused(status: number | undefined, reason: string | undefined): Error {
  return new Error(`Handshake status ${status ?? 0} ${reason ?? ''}`.trimEnd());
}

/** Clients tell the two apart: a refused handshake is about the websocket, all else was unexpected. */
function openingFailed(error: unknown): WorkerError {
  const text = describeConnectionError(error);
  const prefix = text.startsWith('[Errno')
    ? 'An unexpected error occurred'
    : 'WebSocket communication error';
  return new WorkerError('comfy.socket_failed', `${prefix}: ${text}`, { cause: error });
}

const noop = () => undefined;

/** Final images can come through the socket (SaveImageWebsocket), and outputs of some nodes are long texts. */
const MAX_FRAME_BYTES = 1024 ** 3;
const CLOSING_MS = 1000;
const TRACED_BYTES = 500;
