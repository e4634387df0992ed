import { readFile } from 'node:fs/promises';
import type { ComfyVersion } from '../profile.ts';

/** A line of a recording of ComfyUI's HTTP and websocket traffic; see `test_resources/transcripts`. */
export type TranscriptLine =
  | {
      readonly kind: 'http';
      readonly method: string;
      readonly path: string;
      readonly request?: unknown;
      readonly status: number;
      readonly headers: Readonly<Record<string, string>>;
      readonly response: unknown;
    }
  | { readonly kind: 'ws-open'; readonly client: string }
  | { readonly kind: 'ws-close'; readonly client: string; readonly code: number }
  | { readonly kind: 'ws-send' | 'ws-recv'; readonly client: string; readonly message: Message };

export type HttpLine = Extract<TranscriptLine, { kind: 'http' }>;
export type Message = Readonly<Record<string, unknown>>;

export async function readTranscript(
  version: ComfyVersion,
  scenario: string,
): Promise<TranscriptLine[]> {
  const text = await readFile(`${FOLDER}/comfyui-${version}/${scenario}.jsonl`, 'utf8');
  const lines = text.trim().split('\n');
  return lines.map((line) => JSON.parse(line) as TranscriptLine);
}

const FOLDER = 'test_resources/transcripts';

/** The parts of a transcript that must be equal between two runs of the same calls. */
export interface Comparable {
  /** HTTP exchanges in order. */
  readonly http: readonly unknown[];
  /** Messages of each connection, in order. The order between HTTP and websockets is not compared. */
  readonly sockets: readonly (readonly unknown[])[];
}

export interface CompareOptions {
  /** Counts consecutive progress messages as one: their number depends on the moment of an interrupt or a reconnect. */
  readonly collapseSteps?: boolean;
  /**
   * Types of messages that are compared apart from the others: answers to calls that arrived while a node was running.
   * Their place among the node's messages depends on the moment.
   */
  readonly apart?: readonly string[];
}

/** Masks everything that differs between runs: times, sizes, random names, and the order of Python sets. */
export function toComparable(
  lines: readonly TranscriptLine[],
  { collapseSteps = false, apart = [] }: CompareOptions = {},
): Comparable {
  const masked = connections(lines).map((messages) => messages.map((one) => mask(one)));
  const sockets = masked.map((messages) => withLast(messages, apart));
  return {
    http: lines.filter((line) => line.kind === 'http').map(comparableExchange),
    sockets: collapseSteps ? sockets.map(withoutRepeatedSteps) : sockets,
  };
}

/** Messages by connection. A client that reconnects has two. */
function connections(lines: readonly TranscriptLine[]): Message[][] {
  const all: Message[][] = [];
  const open = new Map<string, Message[]>();
  for (const line of lines) {
    if (line.kind === 'ws-open') {
      const messages: Message[] = [];
      open.set(line.client, messages);
      all.push(messages);
    }
    if (line.kind === 'ws-recv') open.get(line.client)?.push(line.message);
  }
  return all;
}

function comparableExchange({ method, path, status, headers, response }: HttpLine) {
  // The page at `/` is ComfyUI's frontend, which is not simulated.
  // The ids of blueprints are hashes of paths on the recorded machine.
  const content = path === '/global_subgraphs' ? Object.values(response as object) : response;
  const body = path === '/' ? '<page>' : mask(content);
  return { method, path: mask(path), status, headers, body };
}

function mask(value: unknown, key?: string): unknown {
  if (key !== undefined && MACHINE_KEYS.test(key)) return '<machine>';
  if (key !== undefined && TIME_KEYS.test(key)) return '<time>';
  if (typeof value === 'string') return maskText(value);
  if (Array.isArray(value)) return key === 'traceback' ? '<traceback>' : maskList(value, key);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).filter(([name]) => !UNCOMPARED_KEYS.has(name));
  return Object.fromEntries(members.map(([name, member]) => [name, mask(member, name)]));
}

const MACHINE_KEYS = /^(?:ram|vram|torch_vram)_|^(?:python|pytorch)_version$|^argv$/;
const TIME_KEYS = /^(?:timestamp|create_time|execution_(?:start|end)_time)$/;
const UNCOMPARED_KEYS = new Set(['bytes', 'simulated']);

function maskList(list: readonly unknown[], key: string | undefined): unknown[] {
  const masked = list.map((item) => mask(item));
  if (key === undefined || !SET_KEYS.has(key)) return masked;
  return masked.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

/** Lists that ComfyUI makes from Python sets. */
const SET_KEYS = new Set(['executed', 'current_outputs', 'errors', 'dependent_outputs']);

function maskText(text: string): string {
  if (text.startsWith('tensor(')) return '<tensor>';
  // Only the start of a JPEG is compared.
  if (text.startsWith(PREVIEW_HEADER)) return PREVIEW_HEADER;
  return text
    .replace(/ *commonpath: \S+\n/, '') // a line that later versions no longer write
    .replace(/<[1-9]\d* bytes>/, '<bytes>')
    .replace(/_temp_[a-z]{5}_/, '_temp_<letters>_')
    .replace(/\b20\d\d-x_/, '<year>-x_')
    .replace(/(?<![\w.:/"<?=])\/(?!history|api|view)[\w-]+(?:\/[\w.-]+)+/g, '<path>');
}

const PREVIEW_HEADER = '0000000100000001ffd8ff';

function withLast(messages: readonly unknown[], types: readonly string[]): unknown[] {
  const isApart = (message: unknown) => types.includes((message as { type?: string }).type ?? '');
  return [...messages.filter((one) => !isApart(one)), ...messages.filter(isApart)];
}

function withoutRepeatedSteps(messages: readonly unknown[]): unknown[] {
  return messages
    .map((message) => (isStep(message) ? '<steps>' : message))
    .filter((message, at, all) => message !== '<steps>' || all[at - 1] !== '<steps>');
}

function isStep(message: unknown): boolean {
  const { type, binary, data } = message as { type?: string; binary?: boolean; data?: object };
  const text = JSON.stringify(data ?? {});
  if (type === 'progress_state') return text.includes('"running"') && !text.includes('"value":0');
  return binary === true || type === 'progress';
}
