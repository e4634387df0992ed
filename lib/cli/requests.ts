import { systemClock } from '../clock.ts';
import { WorkerError } from '../errors.ts';
import { limitedResponse } from '../http/answer-limit.ts';
import { under } from '../http/base-url.ts';
import { shortReason } from '../http/failure.ts';
import { redactUrl } from '../http/redact.ts';
import { USER_AGENT } from '../version.ts';

/**
 * Resolves when ComfyUI answers. Waits only a few seconds, because a person is waiting.
 * @throws WorkerError `comfy.unreachable`, or the reason of the signal.
 */
export async function findComfy(
  url: string,
  { signal }: { readonly signal: AbortSignal },
): Promise<void> {
  const until = performance.now() + START_MS;
  for (;;) {
    const problem = await problemOf(url, signal);
    if (problem === undefined) return;
    if (performance.now() >= until) throw notFound(url, problem);
    await systemClock.sleep(POLL_MS, signal);
  }
}

async function problemOf(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]);
    const response = await fetch(under(url, '/'), { signal: inTime, headers: HEADERS });
    await response.body?.cancel();
    return response.ok ? undefined : `it answered ${response.status} ${response.statusText}`;
  } catch (error) {
    signal.throwIfAborted();
    return shortReason(error);
  }
}

function notFound(url: string, problem: string): WorkerError {
  return new WorkerError(
    'comfy.unreachable',
    `No ComfyUI answers at ${url} (${problem}); start it, set COMFY_URL to where it is, or use --simulate`,
  );
}

/** Reads JSON. The `Error` that it throws names the request and the answer. */
export async function getJson(url: string, signal: AbortSignal): Promise<unknown> {
  const response = await ask(url, signal);
  const text = await limitedResponse(response, JSON_ANSWER).text();
  if (!response.ok) throw new Error(`[GET] ${url}: ${response.status} ${response.statusText}`);
  try {
    return JSON.parse(text);
  } catch (error) {
    const begin = JSON.stringify(text.slice(0, 60));
    throw new Error(`[GET] ${url} answered something that is not JSON: ${begin}`, { cause: error });
  }
}

/** Sends one request. The `Error` that it throws names the request and the reason. */
export async function ask(url: string, signal: AbortSignal, method = 'GET'): Promise<Response> {
  try {
    return await fetch(url, { method, signal, headers: HEADERS, redirect: 'manual' });
  } catch (error) {
    throw new Error(`[${method}] ${redactUrl(url)}: ${shortReason(error)}`, { cause: error });
  }
}

const JSON_ANSWER = { maxBytes: 128 * 1024 * 1024 };
const HEADERS = { 'user-agent': USER_AGENT };
const START_MS = 3000;
const ANSWER_MS = 10_000;
const POLL_MS = 250;
