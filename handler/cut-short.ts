import type { PromptOutcome } from '../lib/comfy/backend.ts';
import { isWorkerError } from '../lib/errors.ts';
import { JsonText, objectText } from '../lib/json.ts';
import type { OutputFile } from './outputs/artifact.ts';

/**
 * The outcome of a prompt. A prompt that was given up, because the job's time is up or ComfyUI died, has the outputs that
 * nodes had made by then, and `cutShort` is the reason.
 * @throws the reason when the job was stopped, or nothing was made.
 */
export async function orCutShort(
  prompt: Promise<PromptOutcome>,
  {
    outputsSoFar,
    sentFiles,
    signal,
  }: {
    readonly outputsSoFar: ReadonlyMap<string, JsonText>;
    readonly sentFiles: readonly OutputFile[];
    readonly signal: AbortSignal;
  },
): Promise<{ readonly outcome: PromptOutcome; readonly cutShort?: unknown }> {
  try {
    return { outcome: await prompt };
  } catch (error) {
    // `output.strict` asks for everything or nothing.
    const isPartlyAccepted = isWorkerError(error, 'comfy.partly_accepted');
    const isNothingMade = outputsSoFar.size + sentFiles.length === 0;
    if (signal.aborted || isPartlyAccepted || isNothingMade) throw error;
    const members = [...outputsSoFar].map(([nodeId, output]) => [nodeId, output.text] as const);
    const outputs = JsonText.parse(objectText(members));
    return { outcome: { ...GIVEN_UP, outputs }, cutShort: error };
  }
}

const GIVEN_UP = {
  promptId: '',
  ending: 'failed',
  problems: [],
  timings: { queuedMs: 0, startedMs: 0, endedMs: 0, readMs: 0, executionMs: undefined, nodes: {} },
} as const satisfies Omit<PromptOutcome, 'outputs'>;
