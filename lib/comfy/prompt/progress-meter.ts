import { isDeepStrictEqual } from 'node:util';
import type { JsonText } from '../../json.ts';
import type { Progress } from '../backend.ts';
import type { PromptEvent } from '../transport/messages.ts';

interface WorkflowNode {
  readonly title: string;
  readonly weight: number;
}

/**
 * Turns the events of a prompt into a percentage and into the time each node took.
 *
 * Every node has the same weight, except that samplers, recognised by their `latent_image` input, count as ten nodes:
 * they take most of the time, and without this the bar would stand still for minutes.
 */
export class ProgressMeter {
  readonly #nodes: ReadonlyMap<string, WorkflowNode>;
  readonly #totalWeight: number;
  readonly #finished = new Set<string>();
  #finishedWeight = 0;
  /** The node at work; empty before the first one. */
  #node = '';
  #steps: { readonly step: number; readonly steps: number } | undefined;
  #reported: Progress = { percent: 0, node: '', nodeTitle: '' };
  readonly #nodeMs = new Map<string, number>();
  #turn: { readonly node: string; readonly since: number } | undefined;

  constructor(workflow: JsonText) {
    this.#nodes = new Map(
      workflow.entries().map(([id, node]) => {
        const title = node.get('_meta')?.get('title')?.value();
        const classType = String(node.get('class_type')?.value());
        const isSampler = node.get('inputs')?.get('latent_image') !== undefined;
        return [
          id,
          {
            title: typeof title === 'string' && title !== '' ? title : classType,
            weight: isSampler ? SAMPLER_WEIGHT : 1,
          },
        ];
      }),
    );
    this.#totalWeight = [...this.#nodes.values()].reduce((sum, { weight }) => sum + weight, 0);
  }

  /** The last progress; its node is empty before the first one. */
  get progress(): Progress {
    return this.#reported;
  }

  /** Title of a node in the editor, or its class. */
  titleOf(nodeId: string): string | undefined {
    return this.#nodes.get(nodeId)?.title;
  }

  /** The node at work; undefined before the first one. */
  get node(): string | undefined {
    return this.#node === '' ? undefined : this.#node;
  }

  /**
   * Milliseconds by node id, from `executing` of a node to `executing` of the next. Nodes that run concurrently, as API
   * nodes do, share the time: it counts for the node that was reported last.
   */
  get nodeMs(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#nodeMs);
  }

  /** Records an event that arrived at `now`. @returns the new progress; undefined when it has not changed. */
  record(event: PromptEvent, now: number): Progress | undefined {
    switch (event.type) {
      case 'cached':
        event.nodes.forEach((node) => this.#finish(node));
        break;
      case 'executing':
        this.#endTurn(now);
        this.#turn = { node: event.node, since: now };
        if (event.node === this.#node) break;
        this.#finish(this.#node);
        this.#node = event.node;
        this.#steps = undefined;
        break;
      case 'progress':
        // Inside an expanded node the ids (`5.0.0.1`) are not of the workflow: the visible node stays.
        if (this.#nodes.has(event.node)) this.#node = event.node;
        this.#steps = { step: event.value, steps: event.max };
        break;
      case 'executed':
        this.#node ||= event.node; // a cached output node has no `executing` event
        this.#finish(event.node);
        break;
      case 'succeeded':
        this.#finishedWeight = this.#totalWeight;
        this.#steps = undefined;
        this.#endTurn(now);
        break;
      case 'failed':
      case 'interrupted':
      case 'done':
        this.#endTurn(now);
        break;
      case 'started':
      case 'blocked':
        break;
    }
    return this.#changedProgress();
  }

  #endTurn(now: number): void {
    if (this.#turn === undefined) return;
    const { node, since } = this.#turn;
    const spentMs = (this.#nodeMs.get(node) ?? 0) + now - since;
    this.#nodeMs.set(node, Math.round(spentMs * 10) / 10);
    this.#turn = undefined;
  }

  #finish(node: string): void {
    if (this.#finished.has(node)) return;
    this.#finished.add(node);
    this.#finishedWeight += this.#nodes.get(node)?.weight ?? 0;
  }

  #changedProgress(): Progress | undefined {
    const { title: nodeTitle = this.#node, weight = 0 } = this.#nodes.get(this.#node) ?? {};
    const { step = 0, steps = 0 } = this.#steps ?? {};
    const isUnfinished = steps > 0 && !this.#finished.has(this.#node);
    const share = isUnfinished ? Math.min(1, Math.max(0, step / steps)) : 0;
    const done = this.#finishedWeight + share * weight;
    const percent = Math.min(100, Math.floor((100 * done) / Math.max(1, this.#totalWeight)));
    const progress = {
      percent: Math.max(this.#reported.percent, percent),
      node: this.#node,
      nodeTitle,
      ...this.#steps,
    };
    if (progress.node === '' || isDeepStrictEqual(progress, this.#reported)) return undefined;
    return (this.#reported = progress);
  }
}

const SAMPLER_WEIGHT = 10;
