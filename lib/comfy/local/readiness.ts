import { readFile } from 'node:fs/promises';
import type { Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import { isZombie, processExists, statOf } from '../../processes/process-stat.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { ComfySettings } from '../settings.ts';

interface Readiness {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'url' | 'pidFile' | 'availability'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Waits for ComfyUI to start.
 *
 * | process of the pid file | limit                                                                          |
 * | ----------------------- | ------------------------------------------------------------------------------ |
 * | dead                    | none: fails at once, even if something answers. It would be another ComfyUI    |
 * | alive                   | `startupTimeoutMs`, and `maxRetries` attempts if set                           |
 * | unknown, or remote      | `startupTimeoutMs`, and `maxRetries` attempts or 500                           |
 *
 * @throws WorkerError `comfy.unreachable`, with a text that clients match on; the details are in the log.
 */
export async function waitUntilReachable(options: Readiness): Promise<void> {
  const { client, settings, clock, log, signal } = options;
  const { intervalMs, startupTimeoutMs, maxRetries } = settings.availability;
  const startedAt = clock.now();
  for (let attempts = 1; ; attempts++) {
    const process = await expectProcess(options);
    const defaultAttempts = process === 'alive' ? Infinity : ATTEMPTS_WITHOUT_PROCESS;
    const maxAttempts = maxRetries > 0 ? maxRetries : defaultAttempts;
    try {
      await client.probe(signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      const waitedMs = clock.now() - startedAt;
      const facts = { attempts, waitedMs, process, reason: describeError(error) };
      if (attempts >= maxAttempts || waitedMs >= startupTimeoutMs)
        throw unreachable(options, facts);
      if (attempts === 1) log.info(facts, 'Waiting for ComfyUI to answer');
    }
    await clock.sleep(intervalMs, signal);
  }
}

/**
 * The process of a ComfyUI on this machine; `unknown` without a pid file, or when ComfyUI is remote.
 * @throws WorkerError `comfy.unreachable` when that process has ended.
 */
export async function expectProcess(
  options: Pick<Readiness, 'settings' | 'log'>,
): Promise<'unknown' | 'alive'> {
  const { url, pidFile } = options.settings;
  if (!isLocalUrl(url)) return 'unknown';
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  if (!/^\s*[1-9]\d*\s*$/.test(text)) return 'unknown';
  if (await isAlive(Number(text))) return 'alive';
  throw unreachable(options, { process: 'ended', pidFile });
}

/** Whether the URL names this machine. */
export function isLocalUrl(url: string): boolean {
  return LOCAL_HOSTS.test(new URL(url).hostname);
}

async function isAlive(pid: number): Promise<boolean> {
  if (!processExists(pid)) return false;
  const stat = await statOf(pid);
  return stat === undefined || !isZombie(stat);
}

/** The error for a ComfyUI that does not answer; `facts` go to the log. */
export function unreachable(
  { settings, log }: Pick<Readiness, 'settings' | 'log'>,
  facts: object,
): WorkerError {
  log.warn(facts, 'ComfyUI is not reachable');
  const { host } = new URL(settings.url);
  return new WorkerError(
    'comfy.unreachable',
    `ComfyUI server (${host}) not reachable after multiple retries.`,
  );
}

const LOCAL_HOSTS = /^(localhost|127\..*|0\.0\.0\.0|\[::1?\])$/;
const ATTEMPTS_WITHOUT_PROCESS = 500;
