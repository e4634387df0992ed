import { RawJson, writeJson, type PyDict } from '../python/python-json.ts';
import type { QueuedPrompt } from './queue.ts';

/** The `ui` output of a node, with the ids that `/history` adds to it. */
export interface NodeOutput {
  readonly ui: unknown;
  readonly meta: {
    readonly node_id: string;
    readonly display_node: string;
    readonly parent_node: null;
    readonly real_node_id: string;
  };
}

export type StatusMessage = readonly [event: string, data: Readonly<Record<string, unknown>>];

/** The result of a prompt's execution. */
export interface Outcome {
  /** In the order the nodes finished. */
  readonly outputs: ReadonlyMap<string, NodeOutput>;
  readonly succeeded: boolean;
  readonly messages: readonly StatusMessage[];
}

export interface HistoryEntry {
  readonly promptId: string;
  /** The JSON of `/history/{id}`, kept as text to save memory. */
  readonly json: RawJson;
}

/** A prompt in `/queue` and `/history`: number, id, graph, extra data, outputs. */
export function promptTuple(prompt: QueuedPrompt): readonly unknown[] {
  return [prompt.number, prompt.promptId, prompt.graph, prompt.extraData, prompt.outputs];
}

/** Ended prompts, oldest first. Beyond `capacity` the oldest are deleted. */
export class History {
  readonly #entries = new Map<string, HistoryEntry>();
  readonly #capacity: number;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** A second prompt with the same id replaces the first. */
  add(prompt: QueuedPrompt, outcome: Outcome): void {
    const { promptId } = prompt;
    const [oldest] = this.#entries.keys();
    if (oldest !== undefined && this.#entries.size >= this.#capacity) this.#entries.delete(oldest);
    this.#entries.set(promptId, { promptId, json: new RawJson(entryText(prompt, outcome)) });
  }

  get(promptId: string): HistoryEntry | undefined {
    return this.#entries.get(promptId);
  }

  /** Up to `maxItems` entries, starting at `offset`. With a negative offset, the last ones. */
  list(maxItems?: number, offset = -1): HistoryEntry[] {
    const entries = [...this.#entries.values()];
    if (maxItems === undefined) return entries.slice(Math.max(0, offset));
    const from = offset < 0 ? entries.length - maxItems : offset;
    return entries.slice(Math.max(0, from), Math.max(0, from) + Math.max(0, maxItems));
  }

  delete(promptId: string): void {
    this.#entries.delete(promptId);
  }

  clear(): void {
    this.#entries.clear();
  }
}

function entryText(prompt: QueuedPrompt, { outputs, succeeded, messages }: Outcome): string {
  const each = <T>(pick: (output: NodeOutput) => T) =>
    new Map([...outputs].map(([id, output]) => [id, pick(output)]));
  return writeJson({
    prompt: promptTuple(prompt),
    outputs: each(({ ui }) => ui),
    status: { status_str: succeeded ? 'success' : 'error', completed: succeeded, messages },
    meta: each(({ meta }) => meta),
  });
}

/** The extra data without API keys. ComfyUI keeps them out of the queue and the history. */
export function withoutSecrets(extraData: PyDict): PyDict {
  return new Map([...extraData].filter(([key]) => !SECRETS.has(key)));
}

const SECRETS = new Set(['auth_token_comfy_org', 'api_key_comfy_org']);
