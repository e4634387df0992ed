import { randomUUID } from 'node:crypto';
import type { Clock } from '../../clock.ts';
import { describeError, isWorkerError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { PromptOptions, PromptOutcome, PromptRequest } from '../backend.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { ComfySocket } from '../transport/socket.ts';
import { toOutcome } from './outcome.ts';
import { cancelPrompt, type LingeringPrompts } from './cancel-prompt.ts';
import { findPrompt, readHistoryEntry, type PromptLocation } from './prompt-lookup.ts';
import { PromptWatch, type PromptStanding } from './prompt-watch.ts';
import { submitPrompt } from './submit-prompt.ts';

interface RunParts {
  readonly client: ComfyClient;
  readonly socket: ComfySocket;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  /** Takes over prompts that cannot be cancelled quickly. */
  readonly lingering: Pick<LingeringPrompts, 'add'>;
  /** When, by the clock, ComfyUI's process last used a processor or a disk; undefined when not known. */
  readonly processUsedAt: () => number | undefined;
  /** Called when a prompt that was accepted has failed or was given up. */
  readonly onStopped: (standing: PromptStanding) => void;
}

interface PromptRun extends RunParts {
  /** Chosen by the worker; replaced when an old ComfyUI answers with its own. */
  promptId: string;
  readonly clientId: string;
  readonly watch: PromptWatch;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Ends the listening on the socket and on the signal. */
  readonly listening: DisposableStack;
}

/**
 * Runs a workflow to its end. A prompt that is given up, for whatever reason, is cancelled in ComfyUI before this
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
  // Listen first: a fully cached prompt can finish before the reply to /prompt is read.
  const run = startListening(clientId, request.workflow, { ...options, ...parts });
  using _ = run.listening;
  const { watch } = run;
  let isAccepted = false;
  try {
    const warnings = await submit(run, request);
    isAccepted = true;
    const queuedAt = clock.now();
    const historyEntry = await waitForHistoryEntry(run);
    const readAt = clock.now();
    const { promptId } = run;
    const facts = { promptId, warnings, calledAt, queuedAt, readAt };
    const outcome = toOutcome(historyEntry, watch, facts);
    if (outcome.ending !== 'succeeded') run.onStopped(watch.standing(outcome));
    return outcome;
  } catch (error) {
    const standing = watch.standing({ processUsedAt: parts.processUsedAt() });
    const hasEnded = 'endedAt' in watch.state.phase;
    // A rejected prompt never ran, and a lost one does not run any more.
    const isGone = isWorkerError(error) && GONE.has(error.code);
    if (!hasEnded && !isGone && !(await cancelPrompt(run.promptId, run)))
      run.lingering.add(run.promptId);
    if (isAccepted) run.onStopped(standing);
    throw signal.aborted ? signal.reason : error;
  }
}

function startListening(
  clientId: string,
  workflow: JsonText,
  options: PromptOptions & RunParts,
): PromptRun {
  const { signal, clock, socket } = options;
  const promptId = randomUUID();
  const log = options.log.child({ promptId });
  const watch = new PromptWatch({ clientId, workflow, clock, log, observer: options });
  const listening = new DisposableStack();
  listening.defer(socket.listen(promptId, watch));
  const onAbort = () => watch.wake();
  signal.addEventListener('abort', onAbort);
  listening.defer(() => signal.removeEventListener('abort', onAbort));
  if (socket.clientId !== clientId) watch.onDisconnect(clientId);
  return { ...options, promptId, clientId, watch, log, signal, listening };
}

/** @returns one text for each part of the workflow that ComfyUI did not accept. */
async function submit(run: PromptRun, request: PromptRequest): Promise<readonly string[]> {
  const { watch, socket, promptId: ownId, clientId } = run;
  const accepted = await submitPrompt({ ...request, promptId: ownId, clientId }, run);
  run.log.debug('Prompt is queued in ComfyUI');
  if (accepted.promptId !== ownId) {
    run.promptId = accepted.promptId;
    run.listening.defer(socket.listen(accepted.promptId, watch));
  }
  // Events may have been missed: look at queue and history at once.
  if (accepted.promptId !== ownId || accepted.wasLookedUp) watch.wake();
  if (request.mustBeComplete && accepted.warnings.length > 0)
    throw new WorkerError(
      'comfy.partly_accepted',
      'ComfyUI would run only a part of the workflow, and output.strict asks for all of it',
      { details: accepted.warnings },
    );
  return accepted.warnings;
}

/**
 * Waits until a prompt has ended, and returns its history entry.
 *
 * Events are enough while the connection lives over which the prompt was submitted. After a loss, and whenever no event
 * came for a while, queue and history are asked. On a later connection no events of this prompt come, but `status` goes
 * to every socket when the queue changes, and each one is a reason to ask.
 *
 * @throws WorkerError `comfy.prompt_lost`, `comfy.silent`, `comfy.socket_failed`, `comfy.request_failed`
 */
async function waitForHistoryEntry(run: PromptRun): Promise<JsonText> {
  const { watch, socket, settings, clock, signal } = run;
  for (;;) {
    await watch.wait(settings.pollIntervalMs);
    signal.throwIfAborted();
    if (watch.state.phase.name === 'done') break;
    const location = await maybeFind(run);
    if (location?.state === 'ended') return location.historyEntry;
    if (location?.state === 'nowhere') {
      if ('endedAt' in watch.state.phase) break;
      throw promptLost(run.promptId);
    }
    checkSilence(run, location?.state);
    if (watch.state.connection === 'detached') await socket.reconnect(signal);
    await clock.sleep(settings.limits.lookFloorMs, signal);
  }
  return await readHistoryEntry(run.promptId, watch.report.failure, run);
}

/** Undefined when the request fails, which proves nothing: ComfyUI answers slowly while it loads a model. */
async function maybeFind(run: PromptRun): Promise<PromptLocation | undefined> {
  try {
    return await findPrompt(run.promptId, run.settings.limits.doubtMs, run);
  } catch (error) {
    run.signal.throwIfAborted();
    run.log.debug({ reason: describeError(error) }, 'Queue and history could not be read');
    return undefined;
  }
}

/** @throws WorkerError `comfy.silent` when a prompt that should report progress has not done so for too long. */
function checkSilence(
  { watch, settings, promptId }: PromptRun,
  state: 'pending' | 'running' | undefined,
): void {
  if (state === 'running') watch.markStarted();
  const mayBeSilent =
    state === 'pending' || (state === 'running' && watch.state.connection === 'detached');
  if (mayBeSilent) watch.excuseSilence();
  if (watch.silentMs <= settings.silenceTimeoutMs) return;
  const seconds = Math.round(watch.silentMs / 1000);
  throw new WorkerError(
    'comfy.silent',
    `Prompt ${promptId} has sent nothing for ${seconds} s although ComfyUI says it runs; it was interrupted. ` +
      'ComfyUI may be stuck, or COMFY_SILENCE_TIMEOUT_S is too short for a node of this workflow.',
  );
}

function promptLost(promptId: string): WorkerError {
  return new WorkerError(
    'comfy.prompt_lost',
    `Prompt ${promptId} is neither in ComfyUI's queue nor in its history: ` +
      'somebody deleted it, or ComfyUI restarted while it waited or ran. Send the job again.',
  );
}

/** With these errors there is nothing to cancel in ComfyUI. */
const GONE: ReadonlySet<string> = new Set([
  'comfy.rejected',
  'comfy.prompt_lost',
  'comfy.not_begun',
]);
