import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { systemClock, type Clock } from '../clock.ts';
import { describeError } from '../errors.ts';
import { Refusal } from './s3/refusal.ts';
import { verifySignature, type SignedRequest } from './s3/signature.ts';

export interface S3SimulatorOptions {
  readonly buckets: readonly string[];
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly region?: string;
  readonly clock?: Clock;
}

interface S3Object {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
}

/** A request as it came, with what was answered; 0 where the connection was cut or is still open. */
interface S3Request {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly status: number;
}

type S3Fault =
  /** An answer, with an {@link errorXml} or what a proxy might say. */
  | { readonly kind: 'refuse'; readonly status: number; readonly body: string }
  /** The connection is reset when the request has been read. */
  | { readonly kind: 'reset' }
  /** The request is read and never answered. */
  | { readonly kind: 'hang' };

/**
 * An S3-compatible store in memory, over real HTTP. PUT, GET and HEAD of objects, by path or by host name; every
 * signature is checked. What it leaves out: listings, multipart uploads, chunked signatures (`aws-chunked`), and rights.
 */
export interface S3Simulator extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** By `bucket/key`. */
  readonly objects: ReadonlyMap<string, S3Object>;
  readonly requests: readonly S3Request[];
  /** How many have been opened so far. */
  readonly connections: number;
  /** The next requests meet this instead of the store. */
  failNext(fault: S3Fault, times?: number): void;
  /** Resolves when a request has been read, before it is answered. */
  nextRequest(signal?: AbortSignal): Promise<void>;
}

export async function startS3Simulator(options: S3SimulatorOptions): Promise<S3Simulator> {
  const store = new Store(options);
  const server = createServer((request, response) => {
    // A client that goes away in the middle of its own request has nobody left to answer.
    store.serve(request, response).catch(() => response.destroy());
  });
  server.on('connection', () => store.connections++);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return store.at(server);
}

class Store {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly objects = new Map<string, S3Object>();
  readonly requests: S3Request[] = [];
  connections = 0;
  readonly #region: string;
  readonly #buckets: ReadonlySet<string>;
  readonly #clock: Clock;
  readonly #faults: S3Fault[] = [];
  readonly #arrivals = new EventTarget();

  constructor(options: S3SimulatorOptions) {
    this.accessKeyId = options.accessKeyId ?? 'SIMULATEDKEYID';
    this.secretAccessKey = options.secretAccessKey ?? 'simulated-secret';
    this.#region = options.region ?? 'us-east-1';
    this.#buckets = new Set(options.buckets);
    this.#clock = options.clock ?? systemClock;
  }

  at(server: Server): S3Simulator {
    const { port } = server.address() as AddressInfo;
    const opened = () => this.connections;
    return {
      get connections() {
        return opened();
      },
      url: `http://127.0.0.1:${port}`,
      port,
      accessKeyId: this.accessKeyId,
      secretAccessKey: this.secretAccessKey,
      objects: this.objects,
      requests: this.requests,
      failNext: (fault, times = 1) => void this.#faults.push(...Array<S3Fault>(times).fill(fault)),
      nextRequest: async (signal) => {
        await once(this.#arrivals, 'request', signal ? { signal } : {});
      },
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      },
    };
  }

  async serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await bytesOf(message);
    const [path = '', query = ''] = (message.url ?? '').split('?', 2);
    const request = { method: message.method ?? '', path, query, headers: message.headers, body };
    const { method, headers } = request;
    const record = { method, path, query, headers, status: 0 };
    this.requests.push(record);
    response.on('finish', () => (record.status = response.statusCode));
    this.#arrivals.dispatchEvent(new Event('request'));
    this.#answer(request, response);
  }

  #answer(request: SignedRequest & Place, response: ServerResponse): void {
    const fault = this.#faults.shift();
    switch (fault?.kind) {
      case 'hang':
        return;
      case 'reset':
        response.socket?.resetAndDestroy();
        return;
      case 'refuse':
        response.writeHead(fault.status, { 'content-type': 'application/xml' }).end(fault.body);
        return;
      case undefined:
        this.#serveObject(request, response);
    }
  }

  #serveObject(request: SignedRequest & Place, response: ServerResponse): void {
    try {
      this.#verify(request);
      const place = this.#placeOf(request);
      if (request.method === 'PUT') this.#put(place, request, response);
      else this.#get(place, request, response);
    } catch (error) {
      const refusal =
        error instanceof Refusal ? error : new Refusal(400, 'InvalidURI', describeError(error));
      refuse(response, refusal, request.method === 'HEAD');
    }
  }

  #verify(request: SignedRequest): void {
    verifySignature(request, {
      accessKeyId: this.accessKeyId,
      secretAccessKey: this.secretAccessKey,
      region: this.#region,
      nowMs: this.#clock.now(),
    });
  }

  /** `bucket/key`, wherever the bucket stands. */
  #placeOf({ path, headers }: Place): string {
    const label = headers.host?.split('.')[0] ?? '';
    const place = decodeURIComponent(path.slice(1));
    if (this.#buckets.has(label)) return `${label}/${place}`;
    const bucket = place.split('/')[0] ?? '';
    if (this.#buckets.has(bucket)) return place;
    throw new Refusal(404, 'NoSuchBucket', 'The specified bucket does not exist', {
      BucketName: bucket,
    });
  }

  #put(place: string, { body, headers }: SignedRequest & Place, response: ServerResponse): void {
    const mediaType = headers['content-type'] ?? 'binary/octet-stream';
    this.objects.set(place, { bytes: body, mediaType });
    response.writeHead(200, { etag: etagOf(body), 'content-length': 0 }).end();
  }

  #get(place: string, { method }: SignedRequest, response: ServerResponse): void {
    if (method !== 'GET' && method !== 'HEAD') {
      throw new Refusal(405, 'MethodNotAllowed', 'The specified method is not allowed');
    }
    const object = this.objects.get(place);
    if (!object) throw new Refusal(404, 'NoSuchKey', 'The specified key does not exist.');
    const headers = {
      etag: etagOf(object.bytes),
      'content-type': object.mediaType,
      'content-length': object.bytes.length,
    };
    response.writeHead(200, headers).end(method === 'HEAD' ? undefined : object.bytes);
  }
}

/** The body of a refusal with this code. */
export function errorXml(code: string): string {
  return new Refusal(0, code, `Simulated ${code}`).toXml();
}

interface Place {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

function refuse(response: ServerResponse, refusal: Refusal, bodiless = false): void {
  const xml = Buffer.from(refusal.toXml());
  const headers = { 'content-type': 'application/xml', 'content-length': xml.length };
  response.writeHead(refusal.status, headers).end(bodiless ? undefined : xml);
}

function etagOf(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

async function bytesOf(message: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
