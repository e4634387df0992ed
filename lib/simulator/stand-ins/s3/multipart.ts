import { createHash, randomUUID } from 'node:crypto';
import { Refusal } from './refusal.ts';

/** An object without its bytes. */
export interface ObjectHead {
  /** `bucket/key` */
  readonly name: string;
  readonly mediaType: string;
  /** From the `x-amz-meta-*` headers; keys without that prefix. */
  readonly metadata: Readonly<Record<string, string>>;
}

interface Part {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly etag: string;
}

interface Upload {
  readonly head: ObjectHead;
  readonly parts: Map<number, Part>;
}

interface CompletedObject extends ObjectHead {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly etag: string;
}

/** Multipart uploads, with the rules of S3 and one of Cloudflare R2: all parts but the last have the same size. */
export class MultipartUploads {
  readonly #uploads = new Map<string, Upload>();
  readonly #forgetful: boolean;

  /** `forgetful`: bytes are counted and hashed, but not kept. */
  constructor(forgetful: boolean) {
    this.#forgetful = forgetful;
  }

  /** Uploads neither completed nor aborted. */
  get open(): number {
    return this.#uploads.size;
  }

  begin(head: ObjectHead): string {
    const uploadId = randomUUID();
    this.#uploads.set(uploadId, { head, parts: new Map() });
    return uploadId;
  }

  /** @returns the ETag. */
  addPart(uploadId: string, partNumber: number, body: Uint8Array): string {
    const etag = `"${md5(body).toString('hex')}"`;
    const bytes = this.#forgetful ? new Uint8Array() : body;
    this.#find(uploadId).parts.set(partNumber, { bytes, size: body.length, etag });
    return etag;
  }

  abort(uploadId: string): void {
    this.#find(uploadId);
    this.#uploads.delete(uploadId);
  }

  /** `list`: the XML of CompleteMultipartUpload, which names the parts. */
  complete(uploadId: string, list: string): CompletedObject {
    const { head, parts } = this.#find(uploadId);
    const named = partsIn(list).map(({ number, etag }) => {
      const part = parts.get(number);
      if (part?.etag === etag) return part;
      throw new Refusal(
        400,
        'InvalidPart',
        'One or more of the specified parts could not be found.',
      );
    });
    checkSizes(named);
    this.#uploads.delete(uploadId);
    const hashes = named.map(({ etag }) => Buffer.from(etag.slice(1, -1), 'hex'));
    return {
      ...head,
      bytes: Buffer.concat(named.map(({ bytes }) => bytes)),
      size: named.reduce((sum, { size }) => sum + size, 0),
      etag: `"${md5(Buffer.concat(hashes)).toString('hex')}-${named.length}"`,
    };
  }

  #find(uploadId: string): Upload {
    const upload = this.#uploads.get(uploadId);
    if (upload) return upload;
    throw new Refusal(404, 'NoSuchUpload', 'The specified multipart upload does not exist.');
  }
}

function partsIn(list: string): { number: number; etag: string }[] {
  const parts = [...list.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
    number: Number(/<PartNumber>(\d+)<\/PartNumber>/.exec(part)?.[1]),
    etag: (/<ETag>(.*?)<\/ETag>/.exec(part)?.[1] ?? '').replaceAll('&quot;', '"'),
  }));
  const isOrdered = parts.every(({ number }, at) => number > (parts[at - 1]?.number ?? 0));
  if (isOrdered && parts.length > 0) return parts;
  throw new Refusal(400, 'InvalidPartOrder', 'The list of parts was not in ascending order.');
}

function checkSizes(parts: readonly Part[]): void {
  const sizes = parts.slice(0, -1).map(({ size }) => size);
  if (sizes.some((size) => size < MIN_PART_BYTES))
    throw new Refusal(400, 'EntityTooSmall', 'Your proposed upload is smaller than the minimum.');
  if (new Set(sizes).size > 1)
    throw new Refusal(400, 'InvalidPart', 'All non-trailing parts must have the same length.');
}

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest();

const MIN_PART_BYTES = 5 * 1024 * 1024;
