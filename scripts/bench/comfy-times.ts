/** When ComfyUI worked on a job, by its own clock: milliseconds since the epoch. */
export interface ComfyTimes {
  readonly startedMs: number;
  readonly endedMs: number;
}

/**
 * Reads from `/history` when each of the last prompts began and ended. Prompts are told apart by the prefix of their output
 * files: which prompt id a worker chose is not known here.
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

/** Pauses between one prompt's end and the next one's start, in order of execution. */
export function idleTimes(times: readonly ComfyTimes[]): number[] {
  const inOrder = times.toSorted((a, b) => a.startedMs - b.startedMs);
  return inOrder
    .slice(1)
    .map(({ startedMs }, index) => startedMs - (inOrder[index]?.endedMs ?? NaN));
}

interface HistoryEntry {
  /** Number, prompt id, graph, and more. */
  readonly prompt: readonly [number, string, Readonly<Record<string, GraphNode>>];
  readonly status?: { readonly messages?: readonly (readonly [string, { timestamp?: number }])[] };
}

interface GraphNode {
  readonly inputs?: { readonly filename_prefix?: unknown };
}

/** As the job said it: ours puts a folder of the job in front. */
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
