import type { JsonText } from '../../json.ts';
import type { Ending, PromptOutcome } from '../backend.ts';
import { deviceErrorOf, type DeviceError } from '../nodes/device-errors.ts';
import { executionErrorText, interruptedText, nodeFailure } from '../nodes/node-failure.ts';
import type { PromptReport, PromptWatch } from './prompt-watch.ts';

/** Makes the outcome from the history entry and from what the socket reported. Times are those of the worker's clock. */
export function toOutcome(
  historyEntry: JsonText,
  watch: PromptWatch,
  facts: {
    readonly promptId: string;
    /** Parts of the workflow that ComfyUI did not accept. */
    readonly warnings: readonly string[];
    readonly calledAt: number;
    readonly queuedAt: number;
    readonly readAt: number;
  },
): PromptOutcome {
  const { promptId, warnings, calledAt, queuedAt, readAt } = facts;
  const { phase } = watch.state;
  const { report } = watch;
  const endedAt = 'endedAt' in phase ? phase.endedAt : readAt;
  const startedAt = 'startedAt' in phase ? (phase.startedAt ?? endedAt) : endedAt;
  const { ending, problem, failedNode, deviceError } = verdict(historyEntry, report);
  return {
    promptId,
    ending,
    ...(failedNode !== undefined && { failedNode }),
    problems: [...warnings, ...report.warnings, ...(problem === undefined ? [] : [problem])],
    ...(deviceError && { deviceError }),
    outputs: historyEntry.get('outputs')?.detached(),
    timings: {
      queuedMs: queuedAt - calledAt,
      startedMs: startedAt - calledAt,
      endedMs: endedAt - calledAt,
      readMs: readAt - calledAt,
      executionMs: executionMs(historyEntry),
      nodes: report.nodeMs,
    },
  };
}

/**
 * How a prompt ended, according to the messages in its history. `status_str` alone is unreliable: a cycle found at run
 * time leaves `success` beside an `execution_error` (`execution.py`, `PromptExecutor.execute_async`). Without messages,
 * as in ComfyUI of 2023, the report of the socket decides. `problem` is a text that clients match on.
 */
export function verdict(
  historyEntry: JsonText,
  report: Pick<PromptReport, 'failure' | 'interrupted'>,
): {
  readonly ending: Ending;
  readonly problem?: string;
  readonly failedNode?: string;
  readonly deviceError?: DeviceError;
} {
  const status = historyEntry.get('status');
  const messages = new Map(statusMessages(historyEntry));
  if (messages.has('execution_error')) {
    const failure = nodeFailure(messages.get('execution_error'));
    const { nodeId: failedNode } = failure;
    const deviceError = deviceErrorOf(failure);
    const problem = executionErrorText(failure);
    return { ending: 'failed', problem, failedNode, ...(deviceError && { deviceError }) };
  }
  if (messages.has('execution_interrupted')) {
    const problem = interruptedText(nodeFailure(messages.get('execution_interrupted')));
    return { ending: 'interrupted', problem };
  }
  if (report.failure !== undefined) return { ending: 'failed', problem: report.failure };
  if (report.interrupted !== undefined)
    return { ending: 'interrupted', problem: report.interrupted };
  const isError = status?.get('status_str')?.value() === 'error';
  if (messages.has('execution_success') || (messages.size === 0 && !isError))
    return { ending: 'succeeded' };
  return { ending: 'failed', problem: SUCCESS_NOT_REPORTED };
}

/** Milliseconds from the first to the last message by ComfyUI's own clock; undefined when the entry has no times. */
export function executionMs(historyEntry: JsonText): number | undefined {
  const times = statusMessages(historyEntry).map(([, body]) => body?.get('timestamp')?.value());
  const [start, end] = [times[0], times.at(-1)];
  return typeof start === 'number' && typeof end === 'number' ? end - start : undefined;
}

/** `status.messages` of a history entry: pairs of type and body. */
function statusMessages(historyEntry: JsonText): [string, JsonText | undefined][] {
  const messages = historyEntry.get('status')?.get('messages')?.items() ?? [];
  return messages.map((message) => {
    const [type, body] = message.items();
    return [String(type?.value()), body];
  });
}

const SUCCESS_NOT_REPORTED =
  'ComfyUI ended the prompt without saying that it succeeded; its log may tell why.';
