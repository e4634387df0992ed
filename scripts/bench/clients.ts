import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const JobSchema = z.object({ id: z.string(), status: z.string() });

/** Clients of a local API that all send a job at once, and ask for it until it has ended. */
export async function runClients(url: string, inputs: readonly unknown[]): Promise<void> {
  const statuses = await Promise.all(inputs.map((input) => runClient(url, input)));
  const failed = statuses.filter((status) => status !== 'COMPLETED');
  if (failed.length > 0) throw new Error(`${failed.length} jobs of the bench are ${failed[0]}`);
}

async function runClient(url: string, input: unknown): Promise<string> {
  const body = JSON.stringify({ input });
  let job = await ask(`${url}/run`, { method: 'POST', body });
  while (job.status === 'IN_QUEUE' || job.status === 'IN_PROGRESS') {
    await sleep(POLL_MS);
    job = await ask(`${url}/status/${job.id}`);
  }
  return job.status;
}

async function ask(url: string, init?: RequestInit): Promise<z.infer<typeof JobSchema>> {
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  return JobSchema.parse(await response.json());
}

/** The longest the event loop of the worker was away since it was last asked, as its own metrics tell. */
export async function longestTurnMs(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const [, seconds] = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(metrics) ?? [];
  if (seconds === undefined) throw new Error(`${url}/metrics does not tell of the event loop`);
  return Number(seconds) * 1000;
}

/**
 * Waits for the worker to come up.
 * @throws Error when it does not within half a minute, or the reason of `signal`.
 */
export async function untilReady(url: string, signal: AbortSignal): Promise<void> {
  const givesUpAt = performance.now() + START_MS;
  while (performance.now() < givesUpAt) {
    const response = await fetch(`${url}/ready`, { signal }).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return;
    await sleep(POLL_MS, undefined, { signal });
  }
  throw new Error(
    `${url}/ready did not answer within ${START_MS / 1000} s; does the worker serve its API?`,
  );
}

/** A port nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const POLL_MS = 100;
const START_MS = 30_000;
