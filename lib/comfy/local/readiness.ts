import type { Clock } from '../../clock.ts';
import { describeError, WorkerError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { ComfyClient } from '../transport/client.ts';
import { processState } from './pid-file.ts';
import type { ComfySettings } from './settings.ts';

interface Waiting {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'url' | 'pidFile' | 'availability'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Waits for ComfyUI to come up.
 *
 * | process file         | patience                                                                           |
 * | -------------------- | ---------------------------------------------------------------------------------- |
 * | names a dead process | none, even if something answers: it is not the ComfyUI this worker was started with |
 * | names a living one   | `startupTimeoutMs`, and `maxRetries` looks if set                                  |
 * | absent, or remote    | `maxRetries` looks or 500, and `startupTimeoutMs`                                  |
 *
 * @throws WorkerError `comfy.unreachable` with the text clients know; what was tried is in the log.
 */
export async function waitUntilReachable(waiting: Waiting): Promise<void> {
  const { client, settings, clock, log, signal } = waiting;
  const { intervalMs, startupTimeoutMs } = settings.availability;
  const beganAt = clock.now();
  for (let looks = 1; ; looks++) {
    const process = await expectProcess(waiting);
    try {
      await client.probe(signal);
      return;
    } catch (error) {
      signal.throwIfAborted();
      const tried = {
        looks,
        waitedMs: clock.now() - beganAt,
        process,
        error: describeError(error),
      };
      if (looks >= maxLooks(process, settings) || tried.waitedMs >= startupTimeoutMs)
        throw unreachable(waiting, tried);
      if (looks === 1) log.info(tried, 'waiting for ComfyUI to answer');
    }
    await clock.sleep(intervalMs, signal);
  }
}

/** @throws WorkerError `comfy.unreachable` when the process of a ComfyUI on this machine has ended. */
export async function expectProcess(
  waiting: Pick<Waiting, 'settings' | 'log'>,
): Promise<'absent' | 'alive'> {
  const { url, pidFile } = waiting.settings;
  const state = isLocal(new URL(url)) ? await processState(pidFile) : 'absent';
  if (state === 'gone') throw unreachable(waiting, { process: state, pidFile });
  return state;
}

function maxLooks(
  process: 'absent' | 'alive',
  { availability: { maxRetries } }: Waiting['settings'],
): number {
  if (maxRetries > 0) return maxRetries;
  return process === 'alive' ? Infinity : LOOKS_WITHOUT_PROCESS_FILE;
}

function unreachable(
  { settings, log }: Pick<Waiting, 'settings' | 'log'>,
  tried: object,
): WorkerError {
  log.warn(tried, 'ComfyUI is not reachable');
  const { host } = new URL(settings.url);
  return new WorkerError(
    'comfy.unreachable',
    `ComfyUI server (${host}) not reachable after multiple retries.`,
  );
}

function isLocal({ hostname }: URL): boolean {
  return /^(localhost|127\..*|0\.0\.0\.0|\[::1?\])$/.test(hostname);
}

const LOOKS_WITHOUT_PROCESS_FILE = 500;
