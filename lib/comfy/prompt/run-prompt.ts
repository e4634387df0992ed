import { randomUUID } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { isWorkerError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { PromptOptions, PromptOutcome, PromptRequest } from '../backend.ts';
import { cancelPrompt } from './cancel.ts';
import type { ComfyClient } from '../transport/client.ts';
import { followPrompt, type Following } from './follow-prompt.ts';
import { executionMs, verdict } from './outcome.ts';
import { PromptWatch } from './prompt-watch.ts';
import type { ComfySettings } from '../local/settings.ts';
import type { ComfySocket } from '../transport/socket.ts';
import { submitPrompt } from './submit.ts';

export interface RunParts {
  readonly client: ComfyClient;
  readonly socket: ComfySocket;
  readonly settings: ComfySettings;
  readonly clock: Clock;
}

type ClientRequest = PromptRequest & { readonly clientId: string };

/** A prompt being run. Its id changes only when an old ComfyUI gives its own. */
interface Run extends Following {
  promptId: string;
}

/**
 * Runs a workflow to its end. A prompt that is given up, for whatever reason, is taken back from ComfyUI before this
 * rejects. A node that raises is an outcome, not an error.
 * @throws WorkerError with a code of `comfy.*`, or the signal's reason.
 */
export async function runPrompt(
  request: PromptRequest,
  options: PromptOptions,
  parts: RunParts,
): Promise<PromptOutcome> {
  const { socket, clock } = parts;
  const { signal } = options;
  const calledAt = clock.now();
  const { clientId } = await socket.connect(signal);
  signal.throwIfAborted();
  using listening = new DisposableStack();
  // Listen first: a fully cached prompt can finish before the reply to /prompt is read.
  const run = listen({ ...request, clientId }, options, { ...parts, listening });
  if (socket.clientId !== clientId) run.watch.onLost(clientId);
  try {
    const warnings = await submit({ ...request, clientId }, run, listening);
    if (request.strict && warnings.length > 0) throw partlyAccepted(warnings);
    const queuedAt = clock.now();
    const entry = await followPrompt(run);
    return toOutcome(run, { entry, warnings, calledAt, queuedAt });
  } catch (error) {
    if (!run.watch.ended && mayStillRun(error)) await cancelPrompt(run.promptId, run);
    throw signal.aborted ? signal.reason : error;
  }
}

function listen(
  { workflow, clientId }: ClientRequest,
  { signal, log: parentLog, ...observer }: PromptOptions,
  { listening, ...parts }: RunParts & { readonly listening: DisposableStack },
): Run {
  const promptId = randomUUID();
  const log = parentLog.child({ promptId });
  const watch = new PromptWatch({ clientId, workflow, clock: parts.clock, log, observer });
  listening.defer(parts.socket.listen(promptId, watch));
  const wake = () => watch.ring();
  signal.addEventListener('abort', wake);
  listening.defer(() => signal.removeEventListener('abort', wake));
  return { ...parts, promptId, watch, log, signal };
}

async function submit(
  request: ClientRequest,
  run: Run,
  listening: DisposableStack,
): Promise<readonly string[]> {
  const accepted = await submitPrompt({ ...request, promptId: run.promptId }, run);
  run.log.debug('prompt is queued in ComfyUI');
  run.watch.queued();
  if (accepted.promptId !== run.promptId) {
    run.promptId = accepted.promptId;
    listening.defer(run.socket.listen(run.promptId, run.watch));
    run.watch.ring();
  }
  if (accepted.found) run.watch.ring();
  return accepted.warnings;
}

interface Ended {
  readonly entry: JsonText;
  readonly warnings: readonly string[];
  readonly calledAt: number;
  readonly queuedAt: number;
}

function toOutcome(
  { promptId, watch, clock }: Run,
  { entry, warnings, calledAt, queuedAt }: Ended,
): PromptOutcome {
  const { ending, problem } = verdict(entry, watch);
  const readAt = clock.now();
  const endedAt = watch.endedAt ?? readAt;
  return {
    promptId,
    ending,
    problems: [...warnings, ...watch.warnings, ...(problem === undefined ? [] : [problem])],
    outputs: entry.get('outputs')?.detached(),
    timings: {
      queuedMs: queuedAt - calledAt,
      startedMs: (watch.startedAt ?? endedAt) - calledAt,
      endedMs: endedAt - calledAt,
      readMs: readAt - calledAt,
      executionMs: executionMs(entry),
      nodes: watch.nodeMs,
    },
  };
}

function partlyAccepted(warnings: readonly string[]): WorkerError {
  return new WorkerError(
    'comfy.partly_accepted',
    'ComfyUI would run only a part of the workflow, and output.strict asks for all of it',
    { details: warnings },
  );
}

/** A refused prompt never ran, and a lost one does no longer. */
function mayStillRun(error: unknown): boolean {
  return !isWorkerError(error, 'comfy.rejected') && !isWorkerError(error, 'comfy.prompt_lost');
}
