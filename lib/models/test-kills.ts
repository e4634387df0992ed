import { setTimeout as sleep } from 'node:timers/promises';
import type { FileServer } from '../simulator/stand-ins/files.ts';
import { RangeSet } from './fetch/range-set.ts';

/** A process that downloads. */
interface Downloading {
  /** Sends SIGKILL, and resolves when it is gone. */
  end(): Promise<void>;
  readonly finished: Promise<{ readonly code: number | null }>;
}

/**
 * Downloads the only file of a server in processes that are killed when the download has reached random places of the file,
 * and in a last one that is left alone.
 *
 * @param bytes of the file
 * @returns bytes that all processes together asked the server for, and bytes that it sent them
 */
export async function downloadWithKills(
  start: () => Downloading,
  { server, bytes, kills }: { server: FileServer; bytes: number; kills: number },
): Promise<{ requested: number; sent: number }> {
  const places = Array.from({ length: kills }, () => Math.random() * 0.9 * bytes);
  const reached = new RangeSet();
  for (const place of places.sort((a, b) => a - b)) {
    const before = server.requests.length;
    const running = start();
    const state = { hasEnded: false };
    void running.finished.then(() => (state.hasEnded = true));
    while (server.requests.length === before || reached.bytes < place) {
      if (state.hasEnded) throw new Error('The download ended before it was killed');
      await sleep(5);
      for (const { sent } of server.requests.slice(before)) reached.add(sent);
    }
    await running.end();
  }
  const { code } = await start().finished;
  if (code !== 0) throw new Error(`The last download ended with exit code ${code}`);
  return {
    requested: server.requests.reduce((sum, request) => sum + requestedBytes(request), 0),
    sent: server.requests.reduce((sum, { sent }) => sum + sent.end - sent.start, 0),
  };
}

function requestedBytes({ headers }: FileServer['requests'][number]): number {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? [];
  if (last === undefined) throw new Error('A request without a range');
  return Number(last) - Number(first) + 1;
}
