import type { PromptOutcome } from '../lib/comfy/comfy.ts';
import type { JsonText } from '../lib/json.ts';

/** ComfyUI's record that a node made a file; the three fields name it in `/view`. */
export interface OutputRecord {
  readonly nodeId: string;
  readonly filename: string;
  readonly subfolder: string;
  readonly type: string;
}

export interface Collected {
  readonly records: readonly OutputRecord[];
  /** What could not be collected, in the order it was met. */
  readonly problems: readonly string[];
}

/** What a prompt left behind, in the order of ComfyUI's history: nodes as executed, then each node's images. */
export function collectOutputs({ outputs, promptId, ending }: PromptOutcome): Collected {
  const nodes = outputs?.entries() ?? [];
  if (nodes.length === 0) {
    const missing = `No outputs found in history for prompt ${promptId}.`;
    return { records: [], problems: ending === 'succeeded' ? [missing] : [] };
  }
  const collected = nodes.map(([nodeId, output]) => recordsOf(nodeId, output));
  return {
    records: collected.flatMap(({ records }) => records),
    problems: collected.flatMap(({ problems }) => problems),
  };
}

/** The images of one node. Previews (`temp`) are left out; an entry that makes no sense costs only itself. */
export function recordsOf(nodeId: string, output: JsonText): Collected {
  const records: OutputRecord[] = [];
  const problems: string[] = [];
  for (const entry of output.get('images')?.items() ?? []) {
    if (textAt(entry, 'type') === 'temp') continue;
    const filename = textAt(entry, 'filename');
    if (filename) {
      records.push({
        nodeId,
        filename,
        subfolder: textAt(entry, 'subfolder') ?? '',
        type: textAt(entry, 'type') ?? 'output',
      });
    } else
      problems.push(
        `Skipping image in node ${nodeId} due to missing filename: ${shorten(entry.text)}`,
      );
  }
  return { records, problems };
}

function textAt(entry: JsonText, key: string): string | undefined {
  const member = entry.get(key);
  return member?.kind === 'string' ? String(member.value()) : undefined;
}

function shorten(text: string): string {
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
}
