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
import { systemClock, type Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import { MultipartUploads, type ObjectHead } from './s3/multipart.ts';
import { Refusal } from './s3/refusal.ts';
import { verifySignature, type SignedRequest } from './s3/signature.ts';

export interface S3SimulatorOptions {
  readonly buckets: readonly string[];
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly region?: string;
  /** Its time, which need not be that of its clients. */
  readonly clock?: Clock;
  /** Objects that come in parts are counted, and not kept. */
  readonly forgetful?: boolean;
}

interface S3Object {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly etag: string;
  readonly mediaType: string;
  readonly metadata: Readonly<Record<string, string>>;
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

type Meant = (request: Pick<S3Request, 'method' | 'query'>) => boolean;

/**
 * An S3-compatible store in memory, over real HTTP. PUT, GET and HEAD of objects and uploads in parts, by path or by host
 * name; every signature is checked. What it leaves out: listings, chunked signatures (`aws-chunked`), and rights.
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
  /** Uploads in parts that were begun, and neither assembled nor thrown away. */
  readonly openUploads: number;
  /** The next requests, or the next of those it is meant for, meet this instead of the store. */
  failNext(fault: S3Fault, times?: number, meant?: Meant): void;
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
  readonly #faults: { readonly fault: S3Fault; readonly meant: Meant }[] = [];
  readonly #uploads: MultipartUploads;
  readonly #arrivals = new EventTarget();

  constructor(options: S3SimulatorOptions) {
    this.accessKeyId = options.accessKeyId ?? 'SIMULATEDKEYID';
    this.secretAccessKey = options.secretAccessKey ?? 'simulated-secret';
    this.#region = options.region ?? 'us-east-1';
    this.#buckets = new Set(options.buckets);
    this.#clock = options.clock ?? systemClock;
    this.#uploads = new MultipartUploads(options.forgetful ?? false);
  }

  at(server: Server): S3Simulator {
    const { port } = server.address() as AddressInfo;
    const opened = () => this.connections;
    const uploads = this.#uploads;
    return {
      get connections() {
        return opened();
      },
      get openUploads() {
        return uploads.open;
      },
      url: `http://127.0.0.1:${port}`,
      port,
      accessKeyId: this.accessKeyId,
      secretAccessKey: this.secretAccessKey,
      objects: this.objects,
      requests: this.requests,
      failNext: (fault, times = 1, meant = () => true) => {
        for (let time = 0; time < times; time++) this.#faults.push({ fault, meant });
      },
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
    const fault = this.#nextFault(request);
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

  #nextFault(request: SignedRequest): S3Fault | undefined {
    const at = this.#faults.findIndex(({ meant }) => meant(request));
    return at < 0 ? undefined : this.#faults.splice(at, 1)[0]?.fault;
  }

  #serveObject(request: SignedRequest & Place, response: ServerResponse): void {
    response.setHeader('date', new Date(this.#clock.now()).toUTCString());
    try {
      this.#verify(request);
      const place = this.#placeOf(request);
      const query = new URLSearchParams(request.query);
      const uploadId = query.get('uploadId');
      if (query.has('uploads')) this.#begin(place, request, response);
      else if (uploadId !== null) this.#serveUpload(uploadId, request, response);
      else if (request.method === 'PUT') this.#put(place, request, response);
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
    const etag = etagOf(body);
    this.objects.set(place, { ...headOf(place, headers), bytes: body, size: body.length, etag });
    response.writeHead(200, { etag, 'content-length': 0 }).end();
  }

  #begin(place: string, { headers }: Place, response: ServerResponse): void {
    const uploadId = this.#uploads.begin(headOf(place, headers));
    const xml = `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`;
    response.writeHead(200, { 'content-type': 'application/xml' }).end(xml);
  }

  #serveUpload(uploadId: string, request: SignedRequest, response: ServerResponse): void {
    const { method, query, body } = request;
    switch (method) {
      case 'PUT': {
        const partNumber = Number(new URLSearchParams(query).get('partNumber'));
        const etag = this.#uploads.addPart(uploadId, partNumber, body);
        response.writeHead(200, { etag, 'content-length': 0 }).end();
        return;
      }
      case 'DELETE':
        this.#uploads.abort(uploadId);
        response.writeHead(204).end();
        return;
      default:
        this.#assemble(uploadId, Buffer.from(body).toString(), response);
    }
  }

  #assemble(uploadId: string, list: string, response: ServerResponse): void {
    const object = this.#uploads.assemble(uploadId, list);
    this.objects.set(object.place, object);
    const xml = `<CompleteMultipartUploadResult><ETag>${object.etag}</ETag></CompleteMultipartUploadResult>`;
    response.writeHead(200, { 'content-type': 'application/xml' }).end(xml);
  }

  #get(place: string, { method }: SignedRequest, response: ServerResponse): void {
    if (method !== 'GET' && method !== 'HEAD') {
      throw new Refusal(405, 'MethodNotAllowed', 'The specified method is not allowed');
    }
    const object = this.objects.get(place);
    if (!object) throw new Refusal(404, 'NoSuchKey', 'The specified key does not exist.');
    const named = Object.entries(object.metadata);
    const headers = {
      etag: object.etag,
      'content-type': object.mediaType,
      'content-length': object.size,
      ...Object.fromEntries(named.map(([name, value]) => [`${META}${name}`, value])),
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

function headOf(place: string, headers: IncomingHttpHeaders): ObjectHead {
  const metadata = Object.entries(headers)
    .filter(([name]) => name.startsWith(META))
    .map(([name, value]) => [name.slice(META.length), String(value)] as const);
  return {
    place,
    mediaType: headers['content-type'] ?? 'binary/octet-stream',
    metadata: Object.fromEntries(metadata),
  };
}

const META = 'x-amz-meta-';

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
