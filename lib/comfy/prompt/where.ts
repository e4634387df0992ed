import type { Clock } from '../../clock.ts';
import type { JsonText } from '../../json.ts';
import type { ComfyClient } from '../transport/client.ts';

/** Where ComfyUI has a prompt. `entry` is its record in the history. */
export type Where =
  | { readonly state: 'pending' | 'running' | 'nowhere' }
  | { readonly state: 'ended'; readonly entry: JsonText };

interface Asking {
  readonly client: ComfyClient;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks once. Queue first, history second: a prompt moves from one to the other in one step (`execution.py`,
 * `PromptQueue.task_done`), so that in this order it cannot slip through between the two looks.
 */
export async function whereIs(
  promptId: string,
  { client, signal }: Pick<Asking, 'client' | 'signal'>,
): Promise<Where> {
  const { running, pending } = await client.queue(signal);
  if (running.includes(promptId)) return { state: 'running' };
  if (pending.includes(promptId)) return { state: 'pending' };
  const entry = await client.history(promptId, signal);
  return entry ? { state: 'ended', entry } : { state: 'nowhere' };
}

/** Looks again, with growing pauses, for as long as there may be doubt before it says that a prompt is nowhere. */
export async function whereForSure(
  promptId: string,
  { doubtMs, ...asking }: Asking & { readonly doubtMs: number },
): Promise<Where> {
  const { clock, signal } = asking;
  const until = clock.now() + doubtMs;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs *= 2) {
    const where = await whereIs(promptId, asking);
    if (where.state !== 'nowhere' || clock.now() >= until) return where;
    await clock.sleep(Math.min(pauseMs, until - clock.now() + 1), signal);
  }
}

const FIRST_PAUSE_MS = 50;
