import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { systemClock, type Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import { MultipartUploads, type ObjectHead } from './s3/multipart.ts';
import { Refusal } from './s3/refusal.ts';
import { verifySignature } from './s3/signature.ts';
import {
  startStoreServer,
  type StoreAnswer,
  type StoreRequest,
  type StoreServer,
} from './store-server.ts';

export interface S3SimulatorOptions {
  readonly buckets: readonly string[];
  readonly accessKeyId?: string;
  readonly secretAccessKey?: string;
  readonly region?: string;
  /** The server's clock; it may differ from the client's. */
  readonly clock?: Clock;
  /** Parts of multipart uploads are counted and hashed, but their bytes are not kept. */
  readonly forgetful?: boolean;
}

interface S3Object {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly etag: string;
  readonly mediaType: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * An S3-compatible store in memory, over real HTTP: PUT, GET and HEAD of objects, and multipart uploads. Buckets are
 * addressed by path or by host name. Every signature is checked. Left out: listings, chunked signatures
 * (`aws-chunked`) and access rights.
 */
export interface S3Simulator extends StoreServer {
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** By `bucket/key`. */
  readonly objects: ReadonlyMap<string, S3Object>;
  /** Connections opened so far. */
  readonly connections: number;
  /** Multipart uploads that were neither completed nor aborted. */
  readonly openUploads: number;
}

export async function startS3Simulator(options: S3SimulatorOptions): Promise<S3Simulator> {
  const store = new Store(options);
  const server = await startStoreServer({ answer: (request) => store.answer(request) });
  return {
    ...server,
    port: Number(new URL(server.url).port),
    accessKeyId: store.accessKeyId,
    secretAccessKey: store.secretAccessKey,
    objects: store.objects,
    get connections() {
      return server.connectionCount();
    },
    get openUploads() {
      return store.uploads.open;
    },
  };
}

class Store {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly objects = new Map<string, S3Object>();
  readonly uploads: MultipartUploads;
  readonly #region: string;
  readonly #buckets: ReadonlySet<string>;
  readonly #clock: Clock;

  constructor(options: S3SimulatorOptions) {
    this.accessKeyId = options.accessKeyId ?? 'SIMULATEDKEYID';
    this.secretAccessKey = options.secretAccessKey ?? 'simulated-secret';
    this.uploads = new MultipartUploads(options.forgetful ?? false);
    this.#region = options.region ?? 'us-east-1';
    this.#buckets = new Set(options.buckets);
    this.#clock = options.clock ?? systemClock;
  }

  answer(request: StoreRequest): StoreAnswer {
    const answered = this.#answerOrRefuse(request);
    const date = new Date(this.#clock.wallTime()).toUTCString();
    return { ...answered, headers: { ...answered.headers, date } };
  }

  #answerOrRefuse(request: StoreRequest): StoreAnswer {
    try {
      const { accessKeyId, secretAccessKey } = this;
      const verifier = { region: this.#region, nowMs: this.#clock.wallTime() };
      verifySignature(
        { ...request, query: request.rawQuery },
        { ...verifier, accessKeyId, secretAccessKey },
      );
      const name = this.#objectName(request);
      const uploadId = request.query.get('uploadId');
      if (request.query.has('uploads')) return this.#beginUpload(name, request);
      if (uploadId !== null) return this.#continueUpload(uploadId, request);
      return request.method === 'PUT' ? this.#put(name, request) : this.#get(name, request);
    } catch (error) {
      const refusal =
        error instanceof Refusal ? error : new Refusal(400, 'InvalidURI', describeError(error));
      const body = refusal.toXml();
      const length = String(Buffer.byteLength(body));
      return { status: refusal.status, headers: { ...XML, 'content-length': length }, body };
    }
  }

  /** `bucket/key`. The bucket is the first label of the host name, or the first segment of the path. */
  #objectName({ path, headers }: StoreRequest): string {
    const label = headers.host?.split('.')[0] ?? '';
    const name = decodeURIComponent(path.slice(1));
    if (this.#buckets.has(label)) return `${label}/${name}`;
    const bucket = name.split('/')[0] ?? '';
    if (this.#buckets.has(bucket)) return name;
    const message = 'The specified bucket does not exist';
    throw new Refusal(404, 'NoSuchBucket', message, { BucketName: bucket });
  }

  #put(name: string, { body, size, headers }: StoreRequest): StoreAnswer {
    const etag = `"${createHash('md5').update(body).digest('hex')}"`;
    this.objects.set(name, { ...objectHead(name, headers), bytes: body, size, etag });
    return { status: 200, headers: { etag, 'content-length': '0' } };
  }

  #beginUpload(name: string, { headers }: StoreRequest): StoreAnswer {
    const uploadId = this.uploads.begin(objectHead(name, headers));
    const body = `<InitiateMultipartUploadResult><UploadId>${uploadId}</UploadId></InitiateMultipartUploadResult>`;
    return { status: 200, headers: XML, body };
  }

  #continueUpload(uploadId: string, { method, query, body }: StoreRequest): StoreAnswer {
    switch (method) {
      case 'PUT': {
        const etag = this.uploads.addPart(uploadId, Number(query.get('partNumber')), body);
        return { status: 200, headers: { etag, 'content-length': '0' } };
      }
      case 'DELETE':
        this.uploads.abort(uploadId);
        return { status: 204 };
      default: {
        const object = this.uploads.complete(uploadId, body.toString());
        this.objects.set(object.name, object);
        const xml = `<CompleteMultipartUploadResult><ETag>${object.etag}</ETag></CompleteMultipartUploadResult>`;
        return { status: 200, headers: XML, body: xml };
      }
    }
  }

  #get(name: string, { method }: StoreRequest): StoreAnswer {
    if (method !== 'GET' && method !== 'HEAD') {
      throw new Refusal(405, 'MethodNotAllowed', 'The specified method is not allowed');
    }
    const object = this.objects.get(name);
    if (!object) throw new Refusal(404, 'NoSuchKey', 'The specified key does not exist.');
    const metadata = Object.entries(object.metadata);
    const headers = {
      etag: object.etag,
      'content-type': object.mediaType,
      'content-length': String(object.size),
      ...Object.fromEntries(metadata.map(([key, value]) => [`${META}${key}`, value])),
    };
    return { status: 200, headers, body: object.bytes };
  }
}

/** The body of a refusal with this code. */
export function errorXml(code: string): string {
  return new Refusal(0, code, `Simulated ${code}`).toXml();
}

function objectHead(name: string, headers: IncomingHttpHeaders): ObjectHead {
  const metadata = Object.entries(headers)
    .filter(([header]) => header.startsWith(META))
    .map(([header, value]) => [header.slice(META.length), String(value)] as const);
  return {
    name,
    mediaType: headers['content-type'] ?? 'binary/octet-stream',
    metadata: Object.fromEntries(metadata),
  };
}

const META = 'x-amz-meta-';
const XML = { 'content-type': 'application/xml' };
