import { JsonText } from '../../json.ts';
import { nodeFailure, type NodeFailure } from '../nodes/node-failure.ts';

/**
 * What ComfyUI sends over the websocket, as far as it matters to somebody who follows a prompt (`server.py`, `send_sync`;
 * `execution.py`; `comfy_execution/progress.py`). Everything else reads as undefined: unknown types belong to custom
 * nodes, and `progress_state` repeats at length what `executing` and `progress` say.
 */
export type Message = { readonly type: 'status' } | ({ readonly promptId: string } & PromptEvent);

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
  /** `output` is undefined for an output node that had nothing to show. */
  | { readonly type: 'executed'; readonly node: string; readonly output: JsonText | undefined }
  | { readonly type: 'succeeded' }
  | { readonly type: 'failed'; readonly failure: NodeFailure }
  | { readonly type: 'blocked'; readonly failure: NodeFailure }
  | { readonly type: 'interrupted'; readonly failure: NodeFailure }
  /** `executing` with a null node: the prompt has ended and its history can be read. */
  | { readonly type: 'done' };

/** Undefined for whatever is not JSON, not an object, not known or not complete. */
export function parseMessage(frame: Buffer): Message | undefined {
  if (isProgressState(frame)) return undefined;
  const { type, data } = envelope(frame.toString());
  if (type === 'status') return { type: 'status' };
  const promptId = text(data?.prompt_id);
  if (data === undefined || promptId === undefined) return undefined;
  const event = promptEvent(type, data, frame);
  return event && { promptId, ...event };
}

/** Most bytes on the wire are these; they are known by their first characters and not parsed. */
function isProgressState(frame: Buffer): boolean {
  return frame.subarray(0, HEAD_BYTES).includes('"progress_state"');
}

type Fields = Readonly<Record<string, unknown>>;

function envelope(source: string): { type: unknown; data: Fields | undefined } {
  const message = fields(parse(source));
  return { type: message?.type, data: fields(message?.data) };
}

function parse(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch {
    return parseWithNaN(source);
  }
}

function parseWithNaN(source: string): unknown {
  try {
    return JsonText.parse(source).value();
  } catch {
    return undefined;
  }
}

function promptEvent(type: unknown, data: Fields, frame: Buffer): PromptEvent | undefined {
  switch (type) {
    case 'execution_start':
      return { type: 'started' };
    case 'execution_cached':
      return { type: 'cached', nodes: texts(data.nodes) };
    case 'executing':
      return executing(data);
    case 'progress':
      return progress(data);
    case 'executed':
      return executed(data, frame);
    case 'execution_success':
      return { type: 'succeeded' };
    case 'execution_error':
      return executionError(data, frame);
    case 'execution_interrupted':
      return { type: 'interrupted', failure: nodeFailure(body(frame)) };
    default:
      return undefined;
  }
}

/** A missing node means the same as a null one. */
function executing(data: Fields): PromptEvent {
  const node = text(data.display_node) ?? text(data.node);
  return node === undefined ? { type: 'done' } : { type: 'executing', node };
}

function progress(data: Fields): PromptEvent | undefined {
  const node = text(data.node);
  const { value, max } = data;
  if (node === undefined || typeof value !== 'number' || typeof max !== 'number') return undefined;
  return { type: 'progress', node, value, max };
}

function executed(data: Fields, frame: Buffer): PromptEvent | undefined {
  const node = text(data.node);
  if (node === undefined) return undefined;
  const output = body(frame)?.get('output');
  return { type: 'executed', node, output: output?.kind === 'object' ? output : undefined };
}

/** A blocked branch is told as an error, but the prompt goes on (`execution.py`, `execution_block_cb`). */
function executionError(data: Fields, frame: Buffer): PromptEvent {
  const type = data.exception_type === 'ExecutionBlocked' ? 'blocked' : 'failed';
  return { type, failure: nodeFailure(body(frame)) };
}

/** `data` as it was sent: the order of an output's files matters. */
function body(frame: Buffer): JsonText | undefined {
  return JsonText.parse(frame.toString()).get('data');
}

function fields(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
}

/** Ids are strings; a custom node may send a number. */
function text(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? value : undefined;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(text).filter((id) => id !== undefined) : [];
}

const HEAD_BYTES = 32;
