import { fork } from 'node:child_process';
import { once } from 'node:events';
import { describeError, errnoOf } from '../../lib/errors.ts';
import type { Picture } from './pictures.ts';

/** The ComfyUI used in a measurement. */
export interface Comfy extends AsyncDisposable {
  readonly url: string;
  readonly embedded: boolean;
}

/** Starts the embedded ComfyUI in its own process; port 0 means any free port. */
export async function startEmbeddedComfy(port: number): Promise<Comfy> {
  const child = fork(new URL('./embedded-comfy.ts', import.meta.url), [String(port)]);
  const ended = once(child, 'exit');
  const failed = ended.then(([code]) => {
    throw new Error(`The embedded ComfyUI exited with code ${String(code)} during start`);
  });
  const [url] = (await Promise.race([once(child, 'message'), failed])) as [string];
  return {
    url,
    embedded: true,
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/**
 * Connects to a running ComfyUI.
 * @throws Error when no ComfyUI answers at this URL.
 */
export async function reachComfy(url: string): Promise<Comfy> {
  const response = await fetch(`${url}/system_stats`).catch((error: unknown) => {
    throw new Error(`No ComfyUI answers at ${url} (${errnoOf(error) ?? describeError(error)})`);
  });
  if (!response.ok) throw new Error(`[GET] "${url}/system_stats": ${response.status}`);
  await response.body?.cancel();
  return { url, embedded: false, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Uploads images into ComfyUI's input folder; older ones of the same name are overwritten. */
export async function uploadPictures(
  comfyUrl: string,
  pictures: readonly Picture[],
): Promise<void> {
  for (const { name, png } of pictures) {
    const form = new FormData();
    form.set('image', new File([new Uint8Array(png)], name, { type: 'image/png' }));
    form.set('overwrite', 'true');
    const response = await fetch(`${comfyUrl}/upload/image`, { method: 'POST', body: form });
    if (!response.ok) throw new Error(`[POST] "${comfyUrl}/upload/image": ${response.status}`);
    await response.body?.cancel();
  }
}

/** Start and end of a prompt by ComfyUI's clock, in milliseconds since the epoch. */
export interface ComfyTimes {
  readonly startedMs: number;
  readonly endedMs: number;
}

/**
 * Reads start and end of recent prompts from `/history`. Prompts are identified by the prefix of their output files,
 * because the bench does not know the prompt ids.
 */
export async function readComfyTimes(
  comfyUrl: string,
  prefixes: readonly string[],
): Promise<(ComfyTimes | undefined)[]> {
  const response = await fetch(`${comfyUrl}/history?max_items=${prefixes.length}`);
  if (!response.ok) {
    throw new Error(`[GET] "${comfyUrl}/history": ${response.status} ${response.statusText}`);
  }
  const history = (await response.json()) as Readonly<Record<string, HistoryEntry>>;
  const byPrefix = new Map(
    Object.values(history).map((entry) => [prefixOf(entry), timesOf(entry)]),
  );
  return prefixes.map((prefix) => byPrefix.get(prefix));
}

/** Pauses between the end of a prompt and the start of the next, in order of execution. */
export function idleTimes(times: readonly ComfyTimes[]): number[] {
  const inOrder = times.toSorted((a, b) => a.startedMs - b.startedMs);
  return inOrder
    .slice(1)
    .map(({ startedMs }, index) => startedMs - (inOrder[index]?.endedMs ?? NaN));
}

interface HistoryEntry {
  /** Number, prompt id, graph, extra data, outputs. */
  readonly prompt: readonly [number, string, Readonly<Record<string, GraphNode>>];
  readonly status?: { readonly messages?: readonly (readonly [string, { timestamp?: number }])[] };
}

interface GraphNode {
  readonly inputs?: { readonly filename_prefix?: unknown };
}

/** The prefix as the job sent it. Our worker puts the job folder in front of it. */
function prefixOf({ prompt: [, , graph] }: HistoryEntry): string {
  const prefixes = Object.values(graph).map((node) => node.inputs?.filename_prefix);
  const prefix = prefixes.find((one) => typeof one === 'string') ?? '';
  return prefix.replace(/^jobs\/[^/]+\//, '');
}

function timesOf({ status }: HistoryEntry): ComfyTimes | undefined {
  const timestampOf = (name: string) =>
    status?.messages?.find(([type]) => type === name)?.[1].timestamp;
  const startedMs = timestampOf('execution_start');
  const endedMs = timestampOf('execution_success');
  return startedMs === undefined || endedMs === undefined ? undefined : { startedMs, endedMs };
}
