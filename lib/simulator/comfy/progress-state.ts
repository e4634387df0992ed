/** How far each node touched by a prompt is: the `nodes` of `progress_state`, in the order they were touched. */
export class ProgressState {
  readonly #promptId: string;
  readonly #nodes = new Map<string, NodeProgress>();

  constructor(promptId: string) {
    this.#promptId = promptId;
  }

  start(nodeId: string): void {
    this.#nodes.set(nodeId, { value: 0, max: 1, state: 'running' });
  }

  update(nodeId: string, value: number, max: number): void {
    this.#nodes.set(nodeId, { value, max, state: 'running' });
  }

  /** A node that came from the cache is finished without having started. */
  finish(nodeId: string): void {
    const max = this.#nodes.get(nodeId)?.max ?? 1;
    this.#nodes.set(nodeId, { value: max, max, state: 'finished' });
  }

  toMessage(): { readonly prompt_id: string; readonly nodes: ReadonlyMap<string, unknown> } {
    const nodes = [...this.#nodes].map(
      ([id, progress]) => [id, this.#describe(id, progress)] as const,
    );
    return { prompt_id: this.#promptId, nodes: new Map(nodes) };
  }

  #describe(id: string, progress: NodeProgress) {
    return {
      ...progress,
      node_id: id,
      prompt_id: this.#promptId,
      display_node_id: id,
      parent_node_id: null,
      real_node_id: id,
    };
  }
}

interface NodeProgress {
  readonly value: number;
  readonly max: number;
  readonly state: 'running' | 'finished';
}
