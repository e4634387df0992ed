import { redactLine } from '../../http/redact.ts';
import type { PromptStanding } from '../prompt/prompt-watch.ts';
import type { ComfyClient } from '../transport/client.ts';
import { plainLine, type OutputLine } from './supervisor/comfy-output.ts';

interface TailRequest {
  readonly standing: PromptStanding;
  /** When it was posted, by the machine's clock, like the times in ComfyUI's log. */
  readonly postedWallTime: number;
  /** At most this many lines; 0: none. */
  readonly limit: number;
  /** Values that must not be shown. */
  readonly secrets: readonly string[];
}

/**
 * The last lines that ComfyUI wrote while a prompt ran, for its caller. None when another prompt was in ComfyUI meanwhile,
 * or may have been: the lines do not say whose they are.
 */
export function outputTail(lines: readonly OutputLine[], request: TailRequest): string[] {
  const since = lines.filter(({ at }) => at >= request.standing.postedAt).map(({ text }) => text);
  // Also somebody else's prompt that was refused, or came later: ComfyUI prints lines about it.
  const isAlone = since.filter(isArrival).length === 1;
  return isAlone ? shown(since.slice(since.findIndex(isArrival) + 1), request) : [];
}

/**
 * The same for a ComfyUI that somebody else started, from `/internal/logs/raw`: the last 300 pieces of its output with
 * local times (`app/logger.py`). The tail begins where ComfyUI wrote that it got this prompt.
 */
export async function logTail(
  client: ComfyClient,
  request: TailRequest,
  signal: AbortSignal,
): Promise<string[]> {
  if (!mayShow(request)) return [];
  const log = await client.getInfo('/internal/logs/raw', signal);
  const entries = (log.get('entries')?.items() ?? []).map((entry) => ({
    time: Date.parse(`${String(entry.get('t')?.value()).slice(0, 23)}Z`),
    lines: String(entry.get('m')?.value())
      .split(/[\r\n]+/)
      .map(plainLine),
  }));
  const arrivals = entries.filter(({ lines }) => lines.some(isArrival));
  const own = arrivals.filter(({ time }) => isJustAfter(time, request.postedWallTime));
  const [arrival] = own;
  if (!arrival || own.length > 1 || arrival !== arrivals.at(-1)) return [];
  const later = entries.slice(entries.indexOf(arrival)).flatMap(({ lines }) => lines);
  return shown(later.slice(later.findIndex(isArrival) + 1), request);
}

/** The last lines, redacted, within the limits. */
function shown(texts: readonly string[], request: TailRequest): string[] {
  if (!mayShow(request)) return [];
  const lines = texts
    .filter((text) => text.trim() !== '' && !isArrival(text) && !isCancel(text))
    .slice(-request.limit);
  const redacted = lines.map((line) => redactLine(line.slice(0, LINE_LENGTH), request.secrets));
  let bytes = 0;
  const fitting = redacted.toReversed().map((line) => (bytes += Buffer.byteLength(line) + 1));
  const count = fitting.filter((sum) => sum <= MAX_BYTES).length;
  return count === 0 ? [] : redacted.slice(-count);
}

function mayShow({ standing, limit }: TailRequest): boolean {
  return limit > 0 && standing.startedAt !== undefined && standing.isAlone;
}

/** ComfyUI writes this when a prompt arrives (`server.py`, `post_prompt`). */
const isArrival = (text: string) => text.startsWith('got prompt');

/** ComfyUI writes this for each attempt of the worker to end a prompt (`server.py`); it says nothing about the failure. */
const isCancel = (text: string) =>
  /^(?:Cancelling running prompt|Interrupting prompt|Global interrupt)/.test(text);

/**
 * Whether a prompt that was posted at `at` may have arrived at `time`. ComfyUI's times have no zone, and zones differ by
 * quarters of an hour. A ComfyUI on a machine with another clock shows no lines.
 */
function isJustAfter(time: number, at: number): boolean {
  const laterMs = (((time - at + CLOCK_ERROR_MS) % QUARTER_MS) + QUARTER_MS) % QUARTER_MS;
  return laterMs <= ARRIVAL_MS;
}

const QUARTER_MS = 15 * 60_000;
const CLOCK_ERROR_MS = 5;
const ARRIVAL_MS = 2000;
const LINE_LENGTH = 1000;
const MAX_BYTES = 4096;
