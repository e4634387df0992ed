import type { Clock } from '../../clock.ts';
import { isWorkerError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { ComfySettings } from '../settings.ts';
import { nodeProblems } from '../nodes/node-problems.ts';
import { rejectionText } from '../nodes/rejection.ts';
import { readJson, type Answer, type ComfyClient } from '../transport/client.ts';
import { isNotConnected, StatusError, withGracePeriod } from '../transport/request-failure.ts';
import { findPrompt } from './prompt-lookup.ts';

export interface Submission {
  readonly promptId: string;
  readonly clientId: string;
  readonly workflow: JsonText;
  /** Forwarded as it was sent. */
  readonly apiKey?: JsonText | undefined;
  /** Forwarded as it was sent. */
  readonly extraPnginfo?: JsonText | undefined;
}

interface SubmitParts {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Acceptance {
  /** The id that was submitted, except from ComfyUI before 0.3.45, which makes its own. */
  readonly promptId: string;
  /** One text for each part of the workflow that will not run. */
  readonly warnings: readonly string[];
  /** The answer was lost and the prompt was found in queue or history. Its events may have been missed. */
  readonly wasLookedUp: boolean;
}

type PostResult =
  | { readonly kind: 'accepted'; readonly acceptance: Acceptance }
  /** The prompt may or may not be queued. `wasAnswered`: ComfyUI answered, so posting again gives the same answer. */
  | { readonly kind: 'unclear'; readonly error: WorkerError; readonly wasAnswered: boolean };

/**
 * Posts the workflow, character for character. A post without a usable answer may have been accepted all the same:
 * queue and history are asked before it is posted once more, under the same id.
 * @throws WorkerError `comfy.rejected` or `comfy.queue_failed`, with texts that clients match on.
 */
export async function submitPrompt(
  submission: Submission,
  parts: SubmitParts,
): Promise<Acceptance> {
  const { settings, log, signal } = parts;
  const { promptId } = submission;
  for (let attempt = 1; ; attempt++) {
    const result = await postOnce(submission, parts);
    if (result.kind === 'accepted') return result.acceptance;
    const { error, wasAnswered } = result;
    log.warn({ reason: error.message }, 'No usable answer to the prompt, looking for it');
    try {
      // After a lost answer the post may still be on its way, so look for longer.
      const doubtMs = wasAnswered ? 0 : settings.limits.unansweredMs;
      const { state } = await findPrompt(promptId, doubtMs, parts);
      if (state !== 'nowhere') return { promptId, warnings: [], wasLookedUp: true };
    } catch (lookupError) {
      throw signal.aborted ? lookupError : error;
    }
    if (wasAnswered || attempt === MAX_POSTS) throw error;
  }
}

/** An abort is delayed while the post is under way: it must be known whether there is a prompt to cancel. */
async function postOnce(submission: Submission, parts: SubmitParts): Promise<PostResult> {
  const { client, settings, clock, signal } = parts;
  const grace = { ms: settings.limits.submitGraceMs, clock, signal };
  const body = promptBody(submission);
  let answer: Answer;
  try {
    answer = await withGracePeriod(grace, (delayed) => client.postPrompt(body, delayed));
  } catch (error) {
    const failure = queueFailed(error);
    if (signal.aborted || !isWorkerError(failure) || isNotConnected(error)) throw failure;
    return { kind: 'unclear', error: failure, wasAnswered: false };
  }
  return await readAnswer(answer, submission, parts);
}

/** Built as text, so that the workflow and the extra data keep all their characters. */
function promptBody({ workflow, clientId, promptId, apiKey, extraPnginfo }: Submission): string {
  const extra = [
    ...(apiKey ? [`"api_key_comfy_org":${apiKey.text}`] : []),
    ...(extraPnginfo ? [`"extra_pnginfo":${extraPnginfo.text}`] : []),
  ];
  const extraData = extra.length > 0 ? `,"extra_data":{${extra.join(',')}}` : '';
  return `{"prompt":${workflow.text},"client_id":"${clientId}","prompt_id":"${promptId}"${extraData}}`;
}

/**
 * A status of 4xx is final. After a 5xx the prompt can be queued all the same: ComfyUI queues it before it makes the
 * answer (`server.py`, `post_prompt`).
 */
async function readAnswer(
  answer: Answer,
  { workflow }: Submission,
  { client, signal }: SubmitParts,
): Promise<PostResult> {
  const context = {
    workflow,
    nodeInfo: (classType: string) => client.nodeInfo(classType, signal),
  };
  if (answer.status === 400)
    throw new WorkerError('comfy.rejected', await rejectionText(answer.text, context));
  if (answer.status >= 400) {
    const error = queueFailed(new StatusError(answer));
    if (answer.status < 500) throw error;
    return { kind: 'unclear', error, wasAnswered: true };
  }
  try {
    const accepted = readJson(answer);
    const promptId = accepted.get('prompt_id')?.value();
    if (typeof promptId !== 'string' || promptId === '') throw notAccepted(accepted);
    const nodeErrors = accepted.get('node_errors');
    const isComplete = nodeErrors === undefined || nodeErrors.text === '{}';
    const warnings = isComplete ? [] : await nodeProblems(nodeErrors, context);
    return { kind: 'accepted', acceptance: { promptId, warnings, wasLookedUp: false } };
  } catch (error) {
    const failure = queueFailed(error);
    if (!isWorkerError(failure)) throw failure;
    return { kind: 'unclear', error: failure, wasAnswered: true };
  }
}

function notAccepted(answer: JsonText): WorkerError {
  const shown = answer.text.slice(0, MAX_SHOWN_CHARACTERS);
  const text =
    answer.kind === 'object'
      ? `Missing 'prompt_id' in queue response: ${shown}`
      : `Unexpected error queuing workflow: expected an object, got ${shown}`;
  return new WorkerError('comfy.queue_failed', text);
}

function queueFailed(error: WorkerError): WorkerError;
function queueFailed(error: unknown): unknown;
function queueFailed(error: unknown): unknown {
  if (!isWorkerError(error) || error.code === 'comfy.queue_failed') return error;
  return new WorkerError('comfy.queue_failed', `Error queuing workflow: ${error.message}`, {
    cause: error,
  });
}

const MAX_POSTS = 2;
const MAX_SHOWN_CHARACTERS = 1000;
