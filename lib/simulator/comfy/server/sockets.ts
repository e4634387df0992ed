import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import type { Profile } from '../profile.ts';
import { writeJson } from '../python/python-json.ts';

export type Frame = string | Buffer;

/** How to break a websocket: a close frame, a TCP reset, or half-open (open, but nothing is sent or read). */
export type SocketBreak = 'close' | 'reset' | 'stall';

interface Client {
  readonly sid: string;
  readonly socket: WebSocket;
  readonly tcp: Socket;
  previewMetadata: boolean;
  stalled: boolean;
}

/**
 * Connected websockets and the frames for them. Two properties of ComfyUI's `server.py` are kept: one publisher writes
 * all frames in order and waits for each socket, so a client that does not read delays all others; and sockets are
 * registered by client id, so closing an old socket also removes a new one with the same id.
 */
export class SocketTable {
  readonly #table = new Map<string, Client>();
  readonly #clients = new Set<Client>();
  readonly #frames: { readonly sid: unknown; readonly frame: Frame }[] = [];
  readonly #features: ServerFeatures;
  #publishing = false;
  #hold: Promise<unknown> | undefined;

  constructor(features: ServerFeatures) {
    this.#features = features;
  }

  /** Registers a socket. Without a client id it gets one of 32 hexadecimal digits. */
  add(socket: WebSocket, tcp: Socket, clientId: string | null): Client {
    const sid = clientId === null || clientId === '' ? randomUUID().replaceAll('-', '') : clientId;
    const client = { sid, socket, tcp, previewMetadata: false, stalled: false };
    this.#clients.add(client);
    this.#table.set(sid, client);
    this.#listen(client);
    return client;
  }

  /** Whether a socket is registered under this id. */
  has(sid: string): boolean {
    return this.#table.has(sid);
  }

  supportsPreviewMetadata(sid: unknown): boolean {
    return this.#table.get(sid as string)?.previewMetadata ?? false;
  }

  /** Sends to the socket of `sid` if there is one; without `sid`, to all sockets. */
  publish(frame: Frame, sid?: unknown): void {
    this.#frames.push({ sid, frame });
    if (!this.#publishing) void this.#publish();
  }

  /** Holds back all frames until the promise resolves; undefined ends the hold. */
  hold(until: Promise<unknown> | undefined): void {
    this.#hold = until;
  }

  /** Breaks the sockets of one client, or all. */
  break(how: SocketBreak, clientId?: string): void {
    const broken = [...this.#clients].filter(
      ({ sid }) => clientId === undefined || sid === clientId,
    );
    for (const client of broken) breakClient(client, how);
  }

  /** Unregisters sockets: they stay open but get no more frames. */
  forget(clientId?: string): void {
    if (clientId === undefined) this.#table.clear();
    else this.#table.delete(clientId);
  }

  #listen(client: Client): void {
    let mayNegotiate = true;
    client.socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary || !mayNegotiate) return;
      const flags = maybeFeatureFlags(data.toString());
      mayNegotiate = flags === 'not json';
      if (typeof flags === 'string') return;
      client.previewMetadata = flags.supports_preview_metadata === true;
      void write(client, writeJson({ type: 'feature_flags', data: this.#features }));
    });
    // `ws` reports a TCP reset as an error; the 'close' event follows.
    client.socket.on('error', () => undefined);
    client.socket.once('close', () => {
      this.#clients.delete(client);
      this.#table.delete(client.sid);
    });
  }

  async #publish(): Promise<void> {
    this.#publishing = true;
    for (let next = this.#frames.shift(); next; next = this.#frames.shift()) {
      if (this.#hold) await this.#hold;
      for (const client of this.#receivers(next.sid)) {
        const written = write(client, next.frame);
        if (client.socket.bufferedAmount > HIGH_WATER_BYTES) await written;
      }
    }
    this.#publishing = false;
  }

  #receivers(sid: unknown): Client[] {
    if (sid === undefined) return [...this.#table.values()];
    const client = this.#table.get(sid as string);
    return client ? [client] : [];
  }
}

/** aiohttp's write buffer limit: above it, a write waits. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Resolves when the frame has been written, or cannot be. */
function write(client: Client, frame: Frame): Promise<void> {
  if (client.stalled || client.socket.readyState !== WebSocket.OPEN) return Promise.resolve();
  return new Promise((resolve) => client.socket.send(frame, () => resolve()));
}

function breakClient(client: Client, how: SocketBreak): void {
  switch (how) {
    case 'close':
      client.socket.close(1001);
      break;
    case 'reset':
      client.tcp.resetAndDestroy();
      break;
    case 'stall':
      client.stalled = true;
      client.tcp.pause();
      break;
  }
}

/** The server's feature flags, in `/features` and in the websocket handshake. */
export interface ServerFeatures {
  readonly supports_preview_metadata: boolean;
  /** Largest request body in bytes. */
  readonly max_upload_size: number;
  readonly extension: unknown;
}

/** `maxUploadBytes` defaults to ComfyUI's 100 MiB. */
export const serverFeatures = (
  { features }: Profile,
  maxUploadBytes = 104_857_600,
): ServerFeatures => ({
  supports_preview_metadata: true,
  ...features.first,
  max_upload_size: maxUploadBytes,
  extension: { manager: { supports_v4: true } },
  ...features.last,
});

/**
 * The feature flags a client sends as its first JSON frame. A frame that is not JSON does not count as the first; any
 * other JSON does.
 */
function maybeFeatureFlags(
  text: string,
): { readonly supports_preview_metadata?: unknown } | 'not json' | 'other' {
  const frame = parse(text);
  if (frame === undefined) return 'not json';
  if (!isObject(frame) || frame.type !== 'feature_flags') return 'other';
  return isObject(frame.data) ? frame.data : {};
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null;
