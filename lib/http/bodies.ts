import type { Dispatcher } from 'undici';
import { AnswerMeter, type AnswerLimit } from './answer-limit.ts';
import { SpareBuffers } from '../spare-buffers.ts';

/* Bodies of requests and responses as bytes, without streams and copies in between. */

type RequestBody = Exclude<Dispatcher.DispatchOptions['body'], undefined>;

/**
 * A request body that is sent piece by piece; its `content-length` has to be given in the headers. Undici notices progress
 * only when a whole piece has left: with megabytes in one piece, a narrow uplink would look like silence, and the request
 * would be given up in the middle, again and again.
 */
export function toRequestBody(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): RequestBody {
  const body: AsyncIterable<Uint8Array> = inPieces(chunks);
  return body as unknown as RequestBody; // undici takes iterables, but its types do not say so
}

/** Short chunks are joined, so that they cost no write of their own. */
async function* inPieces(
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let short: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunks) {
    if (bytes + chunk.length < PIECE_BYTES) {
      short.push(chunk);
      bytes += chunk.length;
      continue;
    }
    if (bytes > 0) yield Buffer.concat(short);
    for (let at = 0; at < chunk.length; at += PIECE_BYTES)
      yield chunk.subarray(at, at + PIECE_BYTES);
    [short, bytes] = [[], 0];
  }
  if (bytes > 0) yield Buffer.concat(short);
}

/** Small enough to leave within a timeout even on a slow connection, large enough not to wait for the socket too often. */
const PIECE_BYTES = 128 * 1024;

/**
 * Reads the body of a response to its end, into one buffer. When its length is known, each chunk is copied as it arrives
 * and can be freed, so that a large body is in memory once.
 * @param spare where to take a large buffer from.
 * @throws the error of the connection; an error with the code `EANSWER` when the body exceeds its limit.
 */
export async function readBytes(
  { headers, body }: Pick<Dispatcher.ResponseData, 'headers' | 'body'>,
  limit: AnswerLimit,
  spare: SpareBuffers = new SpareBuffers(),
): Promise<Buffer<ArrayBuffer>> {
  const announced = Number(headers['content-length'] ?? 0);
  const isKnown = announced >= SMALL_BYTES && announced <= Math.min(MOST_BYTES, limit.maxBytes);
  const whole = isKnown ? spare.take(announced) : undefined;
  const arrived: Buffer[] = [];
  const meter = new AnswerMeter(limit);
  let at = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const problem = meter.count(chunk.length);
    if (problem) throw problem; // this also closes the connection
    if (whole) at += chunk.copy(whole, at);
    else arrived.push(chunk);
  }
  return whole?.subarray(0, at) ?? Buffer.concat(arrived);
}

const SMALL_BYTES = 256 * 1024;
/** A peer that announces more is not believed: memory is taken as the bytes arrive. */
const MOST_BYTES = 256 * 1024 * 1024;
