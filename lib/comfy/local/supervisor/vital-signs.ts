import { connect } from 'node:net';
import type { Clock } from '../../../clock.ts';
import type { ComfyClient } from '../../transport/client.ts';
import { pause } from '../../../waiting.ts';
import { measureUse, type ProcessUse } from './process-group.ts';

/** Signs of life that the websocket to ComfyUI gives. */
export interface SocketActivity {
  /** When the last message came, by the clock; undefined before the first one. */
  readonly lastMessageAt: number | undefined;
  /** Whether a prompt is being followed. */
  readonly isBusy: boolean;
  /** Whether the websocket is open. */
  readonly isConnected: boolean;
  /** Asks queue and history about all prompts, because one may have ended unnoticed. */
  readonly lookNow: () => void;
}

interface VitalSigns {
  readonly client: ComfyClient;
  readonly url: string;
  readonly processId: number;
  readonly clock: Clock;
  readonly activity: () => SocketActivity;
  /** Called when the process has used a processor or a disk, with the time. */
  readonly onUse: (at: number) => void;
  /** Without a sign of life for this long ComfyUI counts as dead. */
  readonly unresponsiveMs: number;
  readonly signal: AbortSignal;
}

/**
 * Watches a ComfyUI that is up. Resolves to the reason when it is dead, although its process runs.
 *
 * A refused connection is proof. Silence is not: nodes and the HTTP server share Python's global lock, and loading a model
 * sends nothing. So use of the processor, reading from disks and messages on the websocket are signs of life, and an HTTP
 * answer too while no prompt runs. While one runs, nothing is asked here, because answering would itself use the processor;
 * unless the websocket is closed: then the port may refuse, too.
 */
export async function untilDead(options: VitalSigns): Promise<string> {
  const { client, url, processId, clock, activity, unresponsiveMs, signal } = options;
  let aliveAt = clock.now();
  let lastUse = await measureUse(processId);
  let question: Promise<void> | undefined;
  // Not `/`, which a ComfyUI without a front end does not have.
  const ask = () =>
    client.getInfo('/system_stats', signal).then(
      () => void (aliveAt = clock.now()),
      () => undefined,
    );
  for (;;) {
    await clock.sleep(Math.min(LOOK_MS, unresponsiveMs / 4), signal);
    const { lastMessageAt = 0, isBusy, isConnected } = activity();
    aliveAt = Math.max(aliveAt, Math.min(lastMessageAt, clock.now()));
    if ((!isBusy || !isConnected) && (await isRefused(url))) return 'its port refuses connections';
    if (!isBusy) {
      question ??= ask().finally(() => (question = undefined));
    }
    const use = await measureUse(processId);
    const isWorking = hasWorked(lastUse, use);
    if (isWorking) aliveAt = clock.now();
    if (isWorking && use) options.onUse(aliveAt);
    lastUse = use;
    const silentMs = clock.now() - aliveAt;
    if (silentMs <= unresponsiveMs) continue;
    if (isBusy) {
      activity().lookNow();
      await clock.sleep(LOOK_MS, signal);
      if (!activity().isBusy) {
        aliveAt = clock.now();
        continue;
      }
    }
    return `it gave no sign of life for ${Math.round(silentMs / 1000)} s (COMFY_UNRESPONSIVE_S)`;
  }
}

/** A tick more proves nothing: answering the worker's questions about a prompt costs as much. */
function hasWorked(last: ProcessUse | undefined, use: ProcessUse | undefined): boolean {
  if (!last || !use) return true;
  return use.reads !== last.reads || Math.abs(use.ticks - last.ticks) > 1;
}

/** Twice, because a backlog that overflows for a moment may refuse as well. */
async function isRefused(url: string): Promise<boolean> {
  return (await knock(url)) === 'refused' && (await knock(url)) === 'refused';
}

/** Opens a connection to the port of `url` and closes it. `silent`: neither accepted nor refused within a second. */
export function knock(url: string): Promise<'open' | 'refused' | 'silent'> {
  const { hostname, port, protocol } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  return new Promise((resolve) => {
    const socket = connect({
      host: host === '0.0.0.0' ? '127.0.0.1' : host,
      port: Number(port) || (protocol === 'https:' ? 443 : 80),
    });
    const settle = (answer: 'open' | 'refused' | 'silent') => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(KNOCK_MS, () => settle('silent'));
    socket.once('connect', () => settle('open'));
    socket.once('error', () => settle('refused'));
  });
}

/** Whether the port of `url` is open for longer than processes take that have just been ended. */
export async function isHeld(
  url: string,
  waiting: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  for (let looks = 0; (await knock(url)) === 'open'; looks++)
    if (looks === RELEASE_LOOKS || !(await pause(RELEASE_LOOK_MS, waiting))) return true;
  return false;
}

const RELEASE_LOOKS = 20;
const RELEASE_LOOK_MS = 100;
const LOOK_MS = 1000;
const KNOCK_MS = 1000;
