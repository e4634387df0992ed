import type { JsonText } from '../../json.ts';

/** What ComfyUI tells about a node that raised or was interrupted; absent fields read `None`, as clients know it. */
export interface NodeFailure {
  readonly nodeId: string;
  readonly nodeType: string;
  readonly message: string;
  readonly exceptionType: string;
  /** The last lines of the traceback. They name files of the server: for the log only. */
  readonly traceback: readonly string[];
}

/** Reads the body of an `execution_error` or `execution_interrupted`, from the socket or from the history. */
export function nodeFailure(body: JsonText | undefined): NodeFailure {
  return {
    nodeId: shown(body?.get('node_id')),
    nodeType: shown(body?.get('node_type')),
    message: shown(body?.get('exception_message')),
    exceptionType: shown(body?.get('exception_type')),
    traceback: (body?.get('traceback')?.items() ?? []).slice(-TRACEBACK_LINES).map(shown),
  };
}

/** Clients match this text byte for byte; the line break ComfyUI ends its messages with is part of it. */
export function executionErrorText({ nodeType, nodeId, message }: NodeFailure): string {
  return `Workflow execution error: Node Type: ${nodeType}, Node ID: ${nodeId}, Message: ${message}`;
}

export function interruptedText({ nodeType, nodeId }: NodeFailure): string {
  return `Workflow execution interrupted: Node Type: ${nodeType}, Node ID: ${nodeId}`;
}

/** A node that did not run because an input was withheld on purpose; the rest of the workflow goes on. */
export function blockedText({ nodeType, nodeId, message }: NodeFailure): string {
  return `Node ${nodeId} (${nodeType}) did not run: ${message.trim()}`;
}

/** Strings bare, everything else as it was sent, and nothing as Python says it. */
export function shown(value: JsonText | undefined): string {
  if (value === undefined || value.kind === 'null') return 'None';
  return value.kind === 'string' ? String(value.value()) : value.text;
}

const TRACEBACK_LINES = 3;
