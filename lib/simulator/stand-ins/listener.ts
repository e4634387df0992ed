import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** An HTTP server on 127.0.0.1 that can go down, refusing connections, and come up on the same port again. */
export class Listener implements AsyncDisposable {
  readonly #server: Server;
  #port = 0;
  #connections = 0;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', () => this.#connections++);
  }

  static async start(onRequest: RequestListener): Promise<Listener> {
    const listener = new Listener(createServer({ keepAliveTimeout: 60_000 }, onRequest));
    await listener.up();
    return listener;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Connections accepted so far. */
  get connections(): number {
    return this.#connections;
  }

  async up(): Promise<void> {
    if (this.#server.listening) return;
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Closes every connection and refuses new ones. */
  async down(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down();
  }
}
