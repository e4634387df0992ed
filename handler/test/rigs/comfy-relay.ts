import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** `stall` keeps the connection open and passes nothing on. */
type Break = 'close' | 'reset' | 'stall';

/**
 * A TCP relay between a worker and a ComfyUI that cannot be told to misbehave. It counts requests and breaks connections.
 * It looks for texts in the chunks as they arrive, so it sees only messages that are small and not compressed.
 */
export interface ComfyRelay extends AsyncDisposable {
  /** Address of the relay, with the path of ComfyUI's own address. */
  readonly url: string;
  /** Method and path of each request so far: `POST /prompt`. Websockets are `GET /ws`. */
  readonly requests: readonly string[];
  /** Ids of the prompts that ComfyUI accepted, oldest first. */
  readonly prompts: readonly string[];
  /** Resolves when ComfyUI sends something that matches, before it is passed on. */
  seen(text: RegExp): Promise<void>;
  /** Breaks all open websockets, at once or when ComfyUI next sends something that matches; that is not passed on. */
  breakSockets(how: Break, at?: RegExp): Promise<void>;
  /** Passes the next such request on and closes its connection instead of answering. */
  loseAnswer(request: string): void;
  /** Closes all connections and refuses new ones. */
  down(): Promise<void>;
}

export async function startComfyRelay(target: string): Promise<ComfyRelay> {
  const relay = new Relay(new URL(target));
  await relay.start();
  return relay;
}

interface Connection {
  readonly worker: Socket;
  readonly comfy: Socket;
  isWebSocket: boolean;
  isStalled: boolean;
  losesAnswer: boolean;
}

interface Watch {
  readonly text: RegExp;
  readonly onSeen: () => void;
}

class Relay implements ComfyRelay {
  readonly requests: string[] = [];
  readonly prompts: string[] = [];
  readonly #target: URL;
  readonly #server = createServer((socket) => this.#open(socket));
  readonly #connections = new Set<Connection>();
  #watches: readonly Watch[] = [];
  readonly #lost: string[] = [];

  constructor(target: URL) {
    this.#target = target;
  }

  get url(): string {
    const { port } = this.#server.address() as AddressInfo;
    return `http://127.0.0.1:${port}${this.#target.pathname.replace(/\/$/, '')}`;
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  seen(text: RegExp): Promise<void> {
    return new Promise((onSeen) => (this.#watches = [...this.#watches, { text, onSeen }]));
  }

  breakSockets(how: Break, at?: RegExp): Promise<void> {
    if (at === undefined) {
      this.#breakAll(how);
      return Promise.resolve();
    }
    return new Promise((done) => {
      const onSeen = () => {
        this.#breakAll(how);
        done();
      };
      this.#watches = [...this.#watches, { text: at, onSeen }];
    });
  }

  loseAnswer(request: string): void {
    this.#lost.push(request);
  }

  async down(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const connection of this.#connections) end(connection, 'reset');
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.down();
  }

  #open(worker: Socket): void {
    const { hostname, port } = this.#target;
    const comfy = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || 80) });
    const connection = {
      ...{ worker, comfy },
      ...{ isWebSocket: false, isStalled: false, losesAnswer: false },
    };
    this.#connections.add(connection);
    worker.setNoDelay();
    comfy.setNoDelay();
    worker.on('data', (chunk) => this.#toComfy(connection, chunk));
    comfy.on('data', (chunk) => this.#toWorker(connection, chunk));
    for (const [one, other] of [
      [worker, comfy],
      [comfy, worker],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => {
        other.destroy();
        this.#connections.delete(connection);
      });
      one.on('end', () => other.end());
      one.on('drain', () => other.resume());
    }
  }

  #toComfy(connection: Connection, chunk: Buffer): void {
    const { worker, comfy } = connection;
    const [, request] = /^([A-Z]+ \/[^ ?]*)\S* HTTP\/1\.1\r\n/.exec(textOf(chunk)) ?? [];
    if (request !== undefined && !connection.isWebSocket) this.#note(request, connection);
    if (!connection.isStalled && !comfy.write(chunk)) worker.pause();
  }

  #note(sent: string, connection: Connection): void {
    const request = sent.replace(this.#target.pathname.replace(/\/$/, ''), '');
    this.requests.push(request);
    connection.isWebSocket = request === 'GET /ws';
    const at = this.#lost.indexOf(request);
    if (at < 0) return;
    this.#lost.splice(at, 1);
    connection.losesAnswer = true;
  }

  #toWorker(connection: Connection, chunk: Buffer): void {
    const { worker, comfy } = connection;
    const text = textOf(chunk);
    const [, prompt] = /"prompt_id":\s*"([0-9a-f-]{36})",\s*"number"/.exec(text) ?? [];
    if (prompt !== undefined) this.prompts.push(prompt);
    for (const watch of this.#watches.filter((one) => one.text.test(text))) {
      this.#watches = this.#watches.filter((other) => other !== watch);
      watch.onSeen();
    }
    if (connection.losesAnswer) end(connection, 'close');
    else if (!connection.isStalled && !worker.destroyed && !worker.write(chunk)) comfy.pause();
  }

  #breakAll(how: Break): void {
    for (const connection of this.#connections) if (connection.isWebSocket) end(connection, how);
  }
}

function end(connection: Connection, how: Break): void {
  const { worker, comfy } = connection;
  if (how === 'stall') {
    connection.isStalled = true;
    return;
  }
  comfy.destroy();
  if (how === 'reset') worker.resetAndDestroy();
  else worker.destroy();
}

/** The beginning of a chunk, where heads and small messages are. */
function textOf(chunk: Buffer): string {
  return chunk.toString('latin1', 0, 16_384);
}
