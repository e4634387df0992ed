import type { Clock } from '../../clock.ts';
import { isWorkerError, WorkerError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { readJson, textOf, type Answer, type ComfyClient } from '../transport/client.ts';
import { nodeProblems } from '../nodes/node-problem.ts';
import { rejectionText } from '../nodes/rejection.ts';
import { isRefused, statusError } from '../transport/request-error.ts';
import type { ComfySettings } from '../local/settings.ts';
import { whereForSure } from './where.ts';
import { patiently } from '../transport/within.ts';

export interface Submission {
  readonly promptId: string;
  readonly clientId: string;
  readonly workflow: JsonText;
  /** Forwarded as it was sent, whatever it is. */
  readonly apiKey?: JsonText | undefined;
  /** Likewise. */
  readonly extraPnginfo?: JsonText | undefined;
}

export interface SubmitParts {
  readonly client: ComfyClient;
  readonly settings: Pick<ComfySettings, 'limits'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export interface Acceptance {
  /** Ours, unless ComfyUI is older than 0.3.45 and made its own. */
  readonly promptId: string;
  /** One text per part of the workflow that will not run. */
  readonly warnings: readonly string[];
  /** It was found in the queue or the history, and may have ended unheard. */
  readonly found?: boolean;
}

/** `answered` tells whether sending the same again would only get the same answer again. */
type Post =
  | { readonly acceptance: Acceptance }
  | { readonly acceptance?: undefined; readonly unclear: WorkerError; readonly answered: boolean };

/**
 * Posts the workflow, character for character. A post without a usable answer may have been accepted all the same: queue
 * and history are asked before it is sent once more, under the same id.
 * @throws WorkerError `comfy.rejected` or `comfy.queue_failed`, with the texts clients know.
 */
export async function submitPrompt(
  submission: Submission,
  parts: SubmitParts,
): Promise<Acceptance> {
  for (let tries = 1; ; tries++) {
    const post = await postOnce(submission, parts);
    if (post.acceptance) return post.acceptance;
    parts.log.warn(
      { error: post.unclear.message },
      'no usable answer to the prompt, looking for it',
    );
    if (await hasArrived(submission, post, parts))
      return { promptId: submission.promptId, warnings: [], found: true };
    if (post.answered || tries === MAX_POSTS) throw post.unclear;
  }
}

async function postOnce(submission: Submission, parts: SubmitParts): Promise<Post> {
  let answer: Answer;
  try {
    answer = await post(submission, parts);
  } catch (error) {
    const failure = queueFailed(error);
    if (parts.signal.aborted || !isWorkerError(failure) || isRefused(error)) throw failure;
    return { unclear: failure, answered: false };
  }
  return await readAnswer(answer, submission, parts);
}

function post(
  submission: Submission,
  { client, settings, clock, signal }: SubmitParts,
): Promise<Answer> {
  return patiently({ ms: settings.limits.submitGraceMs, clock, signal }, (inTime) =>
    client.postPrompt(promptBody(submission), inTime),
  );
}

function promptBody({ workflow, clientId, promptId, apiKey, extraPnginfo }: Submission): string {
  const extra = [
    ...(apiKey ? [`"api_key_comfy_org":${apiKey.text}`] : []),
    ...(extraPnginfo ? [`"extra_pnginfo":${extraPnginfo.text}`] : []),
  ];
  const extraData = extra.length > 0 ? `,"extra_data":{${extra.join(',')}}` : '';
  return `{"prompt":${workflow.text},"client_id":"${clientId}","prompt_id":"${promptId}"${extraData}}`;
}

/** 4xx is final. After a 5xx the prompt can be in the queue all the same: it is put there before the answer is made. */
async function readAnswer(
  answer: Answer,
  submission: Submission,
  parts: SubmitParts,
): Promise<Post> {
  if (answer.status === 400) throw await rejected(answer, submission, parts);
  const failure = answer.status < 400 ? undefined : queueFailed(statusError(answer));
  if (failure && answer.status < 500) throw failure;
  if (failure) return { unclear: failure, answered: true };
  try {
    return { acceptance: await readAcceptance(readJson(answer), submission, parts) };
  } catch (error) {
    const unclear = queueFailed(error);
    if (!isWorkerError(unclear)) throw unclear;
    return { unclear, answered: true };
  }
}

async function rejected(
  { body }: Answer,
  { workflow }: Submission,
  { client, signal }: SubmitParts,
): Promise<WorkerError> {
  const nodeInfo = (classType: string) => client.nodeInfo(classType, signal);
  return new WorkerError(
    'comfy.rejected',
    await rejectionText(textOf(body), { workflow, nodeInfo }),
  );
}

async function readAcceptance(
  answer: JsonText,
  { workflow }: Submission,
  { client, signal }: SubmitParts,
): Promise<Acceptance> {
  const promptId = answer.get('prompt_id')?.value();
  if (typeof promptId !== 'string' || promptId === '') throw notAccepted(answer);
  const nodeInfo = (classType: string) => client.nodeInfo(classType, signal);
  return {
    promptId,
    warnings: await nodeProblems(answer.get('node_errors'), { workflow, nodeInfo }),
  };
}

/** An odd answer is followed by one look, a lost one by several: the post may still be on its way. */
async function hasArrived(
  { promptId }: Submission,
  post: { readonly unclear: WorkerError; readonly answered: boolean },
  parts: SubmitParts,
): Promise<boolean> {
  try {
    const doubtMs = post.answered ? 0 : parts.settings.limits.unansweredMs;
    return (await whereForSure(promptId, { ...parts, doubtMs })).state !== 'nowhere';
  } catch (error) {
    throw parts.signal.aborted ? error : post.unclear;
  }
}

function notAccepted(answer: JsonText): WorkerError {
  const said = answer.text.slice(0, SHOWN_CHARACTERS);
  const text =
    answer.kind === 'object'
      ? `Missing 'prompt_id' in queue response: ${said}`
      : `Unexpected error queuing workflow: expected an object, got ${said}`;
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
const SHOWN_CHARACTERS = 1000;
