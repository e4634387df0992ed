import type { PromptOutcome } from '../../lib/comfy/backend.ts';
import type { OutputRecord } from './artifact.ts';
import { ALL_SAVED, type OutputChoice } from './output-choice.ts';
import { recordsOf } from './output-records.ts';
import { textsOf, type OutputText } from './output-texts.ts';

export interface Collected {
  readonly records: readonly OutputRecord[];
  readonly texts: readonly OutputText[];
  /** What could not be collected, in the order it was met. */
  readonly problems: readonly string[];
}

/** What a prompt left behind, in the order of ComfyUI's history: nodes as executed, then what each of them shows. */
export function collectOutputs(
  { outputs, promptId, ending }: Pick<PromptOutcome, 'outputs' | 'promptId' | 'ending'>,
  choice: OutputChoice = ALL_SAVED,
): Collected {
  const nodes = outputs?.entries() ?? [];
  if (nodes.length === 0) {
    const missing = `No outputs found in history for prompt ${promptId}.`;
    return { records: [], texts: [], problems: ending === 'succeeded' ? [missing] : [] };
  }
  const wanted = nodes.filter(([nodeId]) => choice.isWanted(nodeId));
  const collected = wanted.map(([nodeId, output]) => recordsOf(nodeId, output, choice));
  return {
    records: collected.flatMap(({ records }) => records),
    texts: wanted.flatMap(([nodeId, output]) => textsOf(nodeId, output)),
    problems: collected.flatMap(({ problems }) => problems),
  };
}
