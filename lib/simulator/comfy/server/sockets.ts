import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';
import { writeJson } from '../python/python-json.ts';

export type Frame = string | Buffer;

/** How a websocket ends, or stops working: with a close frame, with a TCP reset, or by saying and hearing nothing more. */
export type SocketBreak = 'close' | 'reset' | 'stall';

interface Client {
  readonly sid: string;
  readonly socket: WebSocket;
  readonly tcp: Socket;
  previewMetadata: boolean;
  stalled: boolean;
}

/**
 * Connected websockets and what is sent to them. As in ComfyUI's `server.py`, one publisher writes all frames to all
 * sockets in order and waits for each to take them, so that a client that does not read holds up everybody; and the
 * table is by client id, where the end of an old socket removes the entry of a new one with the same id.
 */
export class SocketTable {
  readonly #table = new Map<string, Client>();
  readonly #clients = new Set<Client>();
  readonly #frames: { readonly sid: unknown; readonly frame: Frame }[] = [];
  #publishing = false;
  #hold: Promise<unknown> | undefined;

  get size(): number {
    return this.#clients.size;
  }

  /** Enters a new socket. Without an id, or with an empty one, it gets one of 32 hex digits. */
  add(socket: WebSocket, tcp: Socket, clientId: string | null): Client {
    const sid = clientId === null || clientId === '' ? randomUUID().replaceAll('-', '') : clientId;
    const client = { sid, socket, tcp, previewMetadata: false, stalled: false };
    this.#clients.add(client);
    this.#table.set(sid, client);
    this.#listen(client);
    return client;
  }

  supportsPreviewMetadata(sid: unknown): boolean {
    return this.#table.get(sid as string)?.previewMetadata ?? false;
  }

  /** To the socket of `sid`, or to nobody when there is none; to all when it is undefined. */
  publish(frame: Frame, sid?: unknown): void {
    this.#frames.push({ sid, frame });
    if (!this.#publishing) void this.#publish();
  }

  /** Nothing is sent to anybody before `until` resolves. Without it, sending goes on. */
  hold(until: Promise<unknown> | undefined): void {
    this.#hold = until;
  }

  /** Breaks the sockets of one client, or all. Returns how many there were. */
  break(how: SocketBreak, clientId?: string): number {
    const broken = [...this.#clients].filter(
      ({ sid }) => clientId === undefined || sid === clientId,
    );
    for (const client of broken) breakClient(client, how);
    return broken.length;
  }

  /** The sockets stay open, but nothing reaches them any more. */
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
      void write(client, writeJson({ type: 'feature_flags', data: SERVER_FEATURES }));
    });
    // A reset is an error to `ws`; for the server it is just an end.
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

/** As much as aiohttp lets pile up before a write waits. */
const HIGH_WATER_BYTES = 64 * 1024;

/** Resolves when the frame has left, or never will. */
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

/** What `/features` and the handshake say the server can do. */
export const MAX_UPLOAD_BYTES = 104_857_600;

export const SERVER_FEATURES = {
  supports_preview_metadata: true,
  max_upload_size: MAX_UPLOAD_BYTES,
  extension: { manager: { supports_v4: true } },
};

/**
 * The flags a client sends in its first frame. A frame that is no JSON leaves the chance open; any other JSON uses it up.
 */
export function maybeFeatureFlags(
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
