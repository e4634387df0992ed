import { readFile } from 'node:fs/promises';
import type { Config } from '../lib/config.ts';
import { describeError, WorkerError } from '../lib/errors.ts';
import { limitedResponse } from '../lib/http/answer-limit.ts';
import { redactUrl } from '../lib/http/redact.ts';
import { JsonText } from '../lib/json.ts';
import type { Logger } from '../lib/log.ts';
import type { Handler } from '../lib/queues/queue.ts';
import { USER_AGENT } from '../lib/version.ts';
import { recognise } from '../lib/workflow/recognise.ts';

interface WarmUpOptions {
  readonly config: Pick<Config, 'WARMUP_WORKFLOW' | 'WARMUP_REQUIRED' | 'WARMUP_TIMEOUT_S'>;
  readonly log: Logger;
  /** A job line of its own, because that of the jobs waits until ComfyUI is up. */
  readonly openLine: () => AsyncDisposable & { readonly handler: Handler };
}

/** @returns a part of the line about the start of ComfyUI. Rejects if a workflow failed and must not. */
export type WarmUp = (signal: AbortSignal) => Promise<string | undefined>;

/**
 * Runs the workflows of `WARMUP_WORKFLOW` one after the other, so that models are loaded before the first job comes. They
 * run as jobs do: names, editor files and input files work, their files are removed, and nothing is uploaded.
 */
export function createWarmUp({ config, log, openLine }: WarmUpOptions): WarmUp | undefined {
  const { WARMUP_WORKFLOW: sources, WARMUP_TIMEOUT_S: seconds } = config;
  if (sources.length === 0) return undefined;
  return async (signal) => {
    const startedAt = performance.now();
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
    await using line = openLine();
    for (const source of sources) {
      const name = shownName(source);
      const workflowLog = log.child({ warmUp: name });
      try {
        const ms = await runWarmUp(source, line.handler, { log: workflowLog, signal: inTime });
        workflowLog.info({ ms }, 'A warm-up workflow has run');
      } catch (error) {
        signal.throwIfAborted();
        const reason = inTime.aborted
          ? `it took longer than WARMUP_TIMEOUT_S (${seconds} s)`
          : describeError(error);
        if (config.WARMUP_REQUIRED)
          throw new WorkerError('worker.unfit', `The warm-up workflow ${name} failed: ${reason}`);
        workflowLog.warn({ reason }, 'A warm-up workflow failed; jobs are taken all the same');
      }
    }
    return `warm-up ${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
  };
}

/** @returns how long it took, in milliseconds. */
async function runWarmUp(
  source: string,
  handler: Handler,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<number> {
  const startedAt = performance.now();
  const recognised = recognise(JsonText.parse(await readSource(source, signal)));
  if (recognised.kind === 'other') throw new TypeError(`it is ${recognised.what}, not a workflow`);
  const { input } = recognised;
  const job = { jobId: 'warm-up', input, source: JsonText.of({}) };
  const context = { signal, log, progress: () => undefined, releaseSlot: () => undefined };
  const { error, output } = await handler(job, context);
  if (error) throw new TypeError([error.message, ...detailsOf(output)].join('; '));
  return Math.round(performance.now() - startedAt);
}

/** Reads a workflow of `WARMUP_WORKFLOW`. */
export async function readSource(source: string, signal: AbortSignal): Promise<string> {
  if (!isHttpUrl(source)) return await readFile(source, 'utf8');
  const response = limitedResponse(
    await fetch(source, { signal, headers: { 'user-agent': USER_AGENT } }),
    { maxBytes: MAX_BYTES },
  );
  if (!response.ok) throw new TypeError(`it was answered ${response.status}`);
  return await response.text();
}

/** The first reason of a failure. */
function detailsOf(output: unknown): string[] {
  const { details } = (output ?? {}) as { readonly details?: readonly string[] };
  return details?.slice(0, 1) ?? [];
}

export const isHttpUrl = (source: string) => /^https?:\/\//i.test(source);
export const shownName = (source: string) => (isHttpUrl(source) ? redactUrl(source) : source);
const MAX_BYTES = 64 * 1024 * 1024;
