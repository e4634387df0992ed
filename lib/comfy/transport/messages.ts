import { JsonText } from '../../json.ts';
import { nodeFailure, type NodeFailure } from '../nodes/node-failure.ts';

/**
 * The websocket messages that matter for following a prompt (`server.py`, `send_sync`; `execution.py`;
 * `comfy_execution/progress.py`). All others are ignored: unknown types belong to custom nodes, and `progress_state`
 * repeats what `executing` and `progress` say.
 */
/** `remaining`: prompts in ComfyUI, running and waiting. */
export type Message =
  | { readonly type: 'status'; readonly remaining: number | undefined }
  | ({ readonly promptId: string } & PromptEvent);

export type PromptEvent =
  | { readonly type: 'started' }
  | { readonly type: 'cached'; readonly nodes: readonly string[] }
  | { readonly type: 'executing'; readonly node: string }
  | {
      readonly type: 'progress';
      readonly node: string;
      readonly value: number;
      readonly max: number;
    }
  /** `output` is undefined for an output node without anything to show. */
  | { readonly type: 'executed'; readonly node: string; readonly output: JsonText | undefined }
  | { readonly type: 'succeeded' }
  | { readonly type: 'failed'; readonly failure: NodeFailure }
  /** A branch did not run, and the prompt goes on. */
  | { readonly type: 'blocked'; readonly failure: NodeFailure }
  | { readonly type: 'interrupted'; readonly failure: NodeFailure }
  /** `executing` with a null node: the prompt has ended and its history can be read. */
  | { readonly type: 'done' };

type Fields = Readonly<Record<string, unknown>>;

/** Undefined for a frame that is no JSON object, of an unknown type, or incomplete. */
export function parseMessage(frame: Buffer): Message | undefined {
  // These are most of the bytes on the wire. They are recognised by their beginning and not parsed.
  if (frame.subarray(0, HEAD_BYTES).includes('"progress_state"')) return undefined;
  const message = maybeFields(parseLeniently(frame.toString()));
  const data = maybeFields(message?.data);
  if (message?.type === 'status') {
    const queue = maybeFields(maybeFields(data?.status)?.exec_info);
    const remaining = queue?.queue_remaining;
    return { type: 'status', remaining: typeof remaining === 'number' ? remaining : undefined };
  }
  const promptId = maybeId(data?.prompt_id);
  if (data === undefined || promptId === undefined) return undefined;
  const event = promptEvent(message?.type, data, frame);
  return event && { promptId, ...event };
}

/** `JSON.parse`, and for Python's `NaN` and `Infinity` the slower parser. */
function parseLeniently(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    try {
      return JsonText.parse(text).value();
    } catch {
      return undefined;
    }
  }
}

function promptEvent(type: unknown, data: Fields, frame: Buffer): PromptEvent | undefined {
  const node = maybeId(data.node);
  switch (type) {
    case 'execution_start':
      return { type: 'started' };
    case 'execution_cached': {
      const nodes = Array.isArray(data.nodes) ? data.nodes : [];
      return { type: 'cached', nodes: nodes.map(maybeId).filter((id) => id !== undefined) };
    }
    case 'executing': {
      const visible = maybeId(data.display_node) ?? node; // inside an expanded node, `node` is not of the workflow
      return visible === undefined ? { type: 'done' } : { type: 'executing', node: visible };
    }
    case 'progress': {
      const { value, max } = data;
      if (node === undefined || typeof value !== 'number' || typeof max !== 'number')
        return undefined;
      return { type: 'progress', node, value, max };
    }
    case 'executed': {
      const output = rawData(frame)?.get('output');
      const shown = output?.kind === 'object' ? output : undefined;
      return node === undefined ? undefined : { type: 'executed', node, output: shown };
    }
    case 'execution_success':
      return { type: 'succeeded' };
    case 'execution_error': {
      // A blocked branch is reported as an error, but the prompt goes on (`execution.py`, `execution_block_cb`).
      const isBlocked = data.exception_type === 'ExecutionBlocked';
      return { type: isBlocked ? 'blocked' : 'failed', failure: nodeFailure(rawData(frame)) };
    }
    case 'execution_interrupted':
      return { type: 'interrupted', failure: nodeFailure(rawData(frame)) };
    default:
      return undefined;
  }
}

/** `data` as text: the order of the files in an output matters, and so do all digits of its numbers. */
function rawData(frame: Buffer): JsonText | undefined {
  return JsonText.parse(frame.toString()).get('data');
}

function maybeFields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
}

/** Ids are strings; a custom node may send a number. */
function maybeId(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : undefined;
}

const HEAD_BYTES = 32;
