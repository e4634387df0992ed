import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** How many answers have no end, and to which requests. */
interface Endless {
  /** Beginning of the request line: `GET /history`. */
  readonly request: string;
  left: number;
}

/**
 * A TCP proxy that breaks connections on purpose. It passes bytes on as they come, and recognises a request only by the
 * beginning of a chunk.
 */
export class BreakingProxy implements AsyncDisposable {
  readonly #target: number;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #endless: Endless[] = [];

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((client) => this.#open(client));
  }

  /** Listens on `port` of 127.0.0.1 (0: any free one) in front of the port `target`. */
  static async start({ target, port = 0 }: { target: number; port?: number }) {
    const proxy = new BreakingProxy(target);
    proxy.#server.listen(port, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets all connections. New ones are accepted. */
  drop(): void {
    for (const pair of this.#pairs) pair.reset();
  }

  /** The connections of now swallow everything for `ms`, in both directions, and are reset then. New ones work. */
  halfOpen(ms: number): void {
    for (const pair of this.#pairs) pair.swallow(ms);
  }

  /** The next `times` requests that begin like this get an answer without end. */
  answerEndlessly(request: string, times: number): void {
    this.#endless.push({ request, left: times });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.drop();
    await closed;
  }

  #open(client: Socket): void {
    const pair = new Pair(client, connect(this.#target, '127.0.0.1'), (text) => this.#use(text));
    this.#pairs.add(pair);
    client.once('close', () => this.#pairs.delete(pair));
  }

  #use(text: string): boolean {
    const entry = this.#endless.find(({ request }) => text.startsWith(request));
    if (!entry) return false;
    entry.left--;
    if (entry.left <= 0) this.#endless.splice(this.#endless.indexOf(entry), 1);
    return true;
  }
}

/** The two connections of one client: its own, and the one to the server. */
class Pair {
  readonly #client: Socket;
  readonly #server: Socket;
  #state: 'passing' | 'swallowing' | 'endless' = 'passing';

  constructor(client: Socket, server: Socket, isEndless: (text: string) => boolean) {
    this.#client = client;
    this.#server = server;
    for (const socket of [client, server]) socket.setNoDelay();
    client.on('data', (chunk) => {
      if (this.#state === 'passing' && isEndless(chunk.toString('latin1', 0, 200)))
        this.#answerEndlessly();
      this.#pass(chunk, client, server);
    });
    server.on('data', (chunk) => this.#pass(chunk, server, client));
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('end', () => other.end());
      one.on('close', () => other.destroy());
    }
  }

  /** A socket that is ended already cannot be reset: Node would lose it open, and the process would never end. */
  reset(): void {
    if (this.#client.writableEnded) this.#client.destroy();
    else this.#client.resetAndDestroy();
    this.#server.destroy();
  }

  swallow(ms: number): void {
    this.#state = 'swallowing';
    const timer = setTimeout(() => this.reset(), ms);
    this.#client.once('close', () => clearTimeout(timer));
  }

  #pass(chunk: Buffer, from: Socket, to: Socket): void {
    if (this.#state !== 'passing' || to.destroyed || to.write(chunk)) return;
    from.pause();
    to.once('drain', () => from.resume());
  }

  /** Ends when the client has had enough; a client without a limit gets a reset after {@link ENOUGH_BYTES}. */
  #answerEndlessly(): void {
    this.#state = 'endless';
    this.#server.destroy();
    this.#client.removeAllListeners('end').write(ENDLESS_HEAD);
    let sentBytes = 0;
    const send = () => {
      while (!this.#client.destroyed) {
        sentBytes += SPACES.length;
        if (sentBytes > ENOUGH_BYTES) this.reset();
        else if (!this.#client.write(SPACES)) return;
      }
    };
    this.#client.on('drain', send);
    send();
  }
}

const ENDLESS_HEAD =
  'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{';
const SPACES = Buffer.alloc(64 * 1024, ' ');
const ENOUGH_BYTES = 256 * 1024 * 1024;
