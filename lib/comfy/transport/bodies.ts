import { createWriteStream, openAsBlob } from 'node:fs';
import { rm } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Dispatcher } from 'undici';
import { limited } from '../../http/answer-limit.ts';
import type { FetchFileOptions } from '../backend.ts';
import { randomUUID } from 'node:crypto';
import { readBytes, toRequestBody } from '../../http/bodies.ts';
import { MemoryFile, type FileContent } from '../../file-content.ts';

/** A form as ComfyUI's upload routes read it (`multipart/form-data`, RFC 7578). */
export interface Form {
  readonly file: {
    readonly field: string;
    readonly name: string;
    readonly mediaType: string;
    readonly content: FileContent;
  };
  /** The other fields, which come after the file. */
  readonly texts: readonly (readonly [field: string, text: string])[];
}

/**
 * Headers and body of a request that sends `form`. The length is known, and the bytes of the file are not copied.
 * `onChunk` is called for each part that is taken.
 */
export function encodeForm({ file, texts }: Form, onChunk: () => void) {
  const boundary = `----form-${randomUUID()}`;
  const { content } = file;
  const type = file.mediaType.toLowerCase() || 'application/octet-stream';
  const partStart = `--${boundary}\r\nContent-Disposition: form-data; name=`;
  const head = Buffer.from(
    `${partStart}"${file.field}"; filename="${escaped(file.name)}"\r\nContent-Type: ${type}\r\n\r\n`,
  );
  const fields = texts.map(([field, text]) => `${partStart}"${field}"\r\n\r\n${text}\r\n`);
  const tail = Buffer.from(`\r\n${fields.join('')}--${boundary}--\r\n`);
  return {
    headers: {
      'content-type': `multipart/form-data; boundary=${boundary}`,
      'content-length': String(head.length + content.size + tail.length),
    },
    body: toRequestBody(chunksOf([head, content, tail], onChunk)),
  };
}

async function* chunksOf(parts: readonly (Buffer | FileContent)[], onChunk: () => void) {
  for (const part of parts) {
    for await (const chunk of Buffer.isBuffer(part) ? [part] : part.stream()) {
      onChunk();
      yield chunk;
    }
  }
}

/** Only these characters of a name could end the header. Browsers escape them in the same way. */
function escaped(name: string): string {
  return name.replaceAll('\n', '%0A').replaceAll('\r', '%0D').replaceAll('"', '%22');
}

/** Small bodies go to memory, others to a new file, which is removed when the transfer fails. */
export async function receiveBody(
  { headers, body }: Dispatcher.ResponseData,
  { newPath, memoryBytes, signal }: FetchFileOptions,
): Promise<FileContent> {
  if (Number(headers['content-length']) <= memoryBytes)
    return new MemoryFile(await readBytes({ headers, body }, { maxBytes: memoryBytes }));
  const path = await newPath().catch((error: unknown) => {
    body.on('error', () => undefined).destroy(); // an unread body would keep its connection
    throw error;
  });
  try {
    const content = limited(body as AsyncIterable<Buffer>, { maxBytes: MAX_FILE_BYTES });
    await pipeline(content, createWriteStream(path, { flags: 'wx' }), { signal });
    return await openAsBlob(path);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}

/** A file is on disk while it arrives. */
const MAX_FILE_BYTES = 64 * 1024 ** 3;
