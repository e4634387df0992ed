import type { JsonText } from '../../json.ts';

/** Report about a node that raised, was blocked or was interrupted. Missing fields read `None`, as clients know it. */
export interface NodeFailure {
  readonly nodeId: string;
  readonly nodeType: string;
  readonly message: string;
  readonly exceptionType: string;
  /** The last lines of the traceback. They name files of the server, so they go to the log only. */
  readonly traceback: readonly string[];
}

/** Reads the body of `execution_error` or `execution_interrupted`, from the socket or from the history. */
export function nodeFailure(body: JsonText | undefined): NodeFailure {
  return {
    nodeId: shown(body?.get('node_id')),
    nodeType: shown(body?.get('node_type')),
    message: shown(body?.get('exception_message')),
    exceptionType: shown(body?.get('exception_type')),
    traceback: (body?.get('traceback')?.items() ?? []).slice(-TRACEBACK_LINES).map(shown),
  };
}

/** Clients match on this text byte for byte, including the line break at the end of ComfyUI's messages. */
export function executionErrorText({ nodeType, nodeId, message }: NodeFailure): string {
  return `Workflow execution error: Node Type: ${nodeType}, Node ID: ${nodeId}, Message: ${message}`;
}

export function interruptedText({ nodeType, nodeId }: NodeFailure): string {
  return `Workflow execution interrupted: Node Type: ${nodeType}, Node ID: ${nodeId}`;
}

/** For a node that did not run because an input was withheld on purpose. The rest of the workflow goes on. */
export function blockedText({ nodeType, nodeId, message }: NodeFailure): string {
  return `Node ${nodeId} (${nodeType}) did not run: ${message.trim()}`;
}

/** Strings without quotes, other values as they were sent, and missing ones as Python's `None`. */
export function shown(value: JsonText | undefined): string {
  if (value === undefined || value.kind === 'null') return 'None';
  return value.kind === 'string' ? String(value.value()) : value.text;
}

const TRACEBACK_LINES = 3;
