import type { JsonText } from '../../json.ts';
import type { Ending } from '../backend.ts';
import { executionErrorText, interruptedText, nodeFailure } from '../nodes/node-failure.ts';

export interface Verdict {
  readonly ending: Ending;
  /** Why it did not succeed, in the words clients know. */
  readonly problem?: string;
}

/** What was heard on the socket, for histories that do not tell. */
export interface Heard {
  readonly failure: string | undefined;
  readonly interrupted: string | undefined;
}

/**
 * How a prompt ended, by the messages in its history. `status_str` alone is not to be trusted: a cycle found at run time
 * leaves `success` beside an `execution_error` (`execution.py`, `PromptExecutor.execute_async`).
 */
export function verdict(entry: JsonText, heard: Heard): Verdict {
  const status = entry.get('status');
  const told = new Map(messages(status));
  if (told.has('execution_error'))
    return {
      ending: 'failed',
      problem: executionErrorText(nodeFailure(told.get('execution_error'))),
    };
  if (told.has('execution_interrupted'))
    return {
      ending: 'interrupted',
      problem: interruptedText(nodeFailure(told.get('execution_interrupted'))),
    };
  if (heard.failure !== undefined) return { ending: 'failed', problem: heard.failure };
  if (heard.interrupted !== undefined) return { ending: 'interrupted', problem: heard.interrupted };
  if (told.has('execution_success') || saysNothing(status, told)) return { ending: 'succeeded' };
  return { ending: 'failed', problem: NOT_SAID };
}

/** Milliseconds between start and end by ComfyUI's own clock; undefined when the history does not tell. */
export function executionMs(entry: JsonText): number | undefined {
  const times = messages(entry.get('status')).map(([, body]) => body?.get('timestamp')?.value());
  const [start, end] = [times[0], times.at(-1)];
  return typeof start === 'number' && typeof end === 'number' ? end - start : undefined;
}

function messages(status: JsonText | undefined): [string, JsonText | undefined][] {
  return (status?.get('messages')?.items() ?? []).map((message) => {
    const [type, body] = message.items();
    return [String(type?.value()), body];
  });
}

/** ComfyUI of 2023 and things that stand in for it keep no messages. */
function saysNothing(status: JsonText | undefined, told: ReadonlyMap<string, unknown>): boolean {
  return told.size === 0 && status?.get('status_str')?.value() !== 'error';
}

const NOT_SAID = 'ComfyUI ended the prompt without saying that it succeeded; its log may tell why.';
