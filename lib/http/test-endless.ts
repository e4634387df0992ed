import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Bytes of an answer after which the server gives in, so that a test of a client without a limit ends. */
const ENOUGH_BYTES = 48 * 1024 * 1024;

/** A server whose answers have no end. */
export async function startEndlessServer({
  status = 200,
  contentType = 'application/json',
  start = '',
}: {
  readonly status?: number;
  readonly contentType?: string;
  /** The beginning of each answer; spaces follow. */
  readonly start?: string;
}) {
  let mostBytes = 0;
  const piece = Buffer.alloc(64 * 1024, ' ');
  const server = createServer((request, response) => {
    request.resume();
    let sentBytes = 0;
    response.writeHead(status, { 'content-type': contentType });
    response.write(start);
    const send = () => {
      while (!response.destroyed) {
        sentBytes += piece.length;
        mostBytes = Math.max(mostBytes, sentBytes);
        if (sentBytes > ENOUGH_BYTES) {
          response.end();
          return;
        }
        if (!response.write(piece)) break;
      }
    };
    response.on('drain', send).on('error', () => undefined);
    send();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `http://${host}`,
    /** Bytes of the longest answer, as far as it was taken. */
    get mostBytes() {
      return mostBytes;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
