import type { JsonText } from '../json.ts';
import type { PromptEvent } from './messages.ts';

/** How far a prompt is. */
export interface Progress {
  /** 0 to 100; never falls. */
  readonly percent: number;
  /** The node at work. */
  readonly node: string;
  /** Its title in the editor, or its class. */
  readonly nodeTitle: string;
  readonly step?: number;
  readonly steps?: number;
}

interface WorkflowNode {
  readonly title: string;
  readonly weight: number;
}

/**
 * Events of a prompt → percent. Every node counts the same, except that samplers, known by their `latent_image` input,
 * count as ten: that is where the time goes, and a bar that stands at 60 % for a minute tells nobody anything.
 */
export class ProgressMeter {
  readonly #nodes: ReadonlyMap<string, WorkflowNode>;
  readonly #total: number;
  readonly #finished = new Set<string>();
  #finishedWeight = 0;
  #percent = 0;
  #node = '';
  #steps: { readonly step: number; readonly steps: number } | undefined;

  constructor(workflow: JsonText) {
    this.#nodes = new Map(workflow.entries().map(([id, node]) => [id, workflowNode(node)]));
    this.#total = [...this.#nodes.values()].reduce((sum, { weight }) => sum + weight, 0);
  }

  /** Takes note of an event; the progress after it, or undefined when it changes nothing. */
  record(event: PromptEvent): Progress | undefined {
    switch (event.type) {
      case 'cached':
        event.nodes.forEach((node) => this.#finish(node));
        return this.#node === '' ? undefined : this.#progress();
      case 'executing':
        return this.#begin(event.node);
      case 'progress':
        return this.#advance(event.node, event.value, event.max);
      case 'executed':
        this.#finish(event.node);
        this.#node ||= event.node;
        return this.#progress();
      case 'succeeded':
        return this.#complete();
      default:
        return undefined;
    }
  }

  #begin(node: string): Progress | undefined {
    if (node === this.#node) return undefined;
    this.#finish(this.#node);
    this.#node = node;
    this.#steps = undefined;
    return this.#progress();
  }

  /** Inside an expanded node the ids (`5.0.0.1`) are not of the workflow; the visible node stays. */
  #advance(node: string, step: number, steps: number): Progress {
    if (this.#nodes.has(node)) this.#node = node;
    this.#steps = { step, steps };
    return this.#progress();
  }

  #complete(): Progress | undefined {
    this.#finishedWeight = this.#total;
    this.#steps = undefined;
    return this.#node === '' ? undefined : this.#progress();
  }

  #finish(node: string): void {
    if (this.#finished.has(node)) return;
    this.#finished.add(node);
    this.#finishedWeight += this.#nodes.get(node)?.weight ?? 0;
  }

  #progress(): Progress {
    const current = this.#nodes.get(this.#node);
    const share = this.#finished.has(this.#node) ? 0 : this.#shareOfCurrent();
    const done = this.#finishedWeight + share * (current?.weight ?? 0);
    const percent = Math.min(100, Math.floor((100 * done) / Math.max(1, this.#total)));
    this.#percent = Math.max(this.#percent, percent);
    return {
      percent: this.#percent,
      node: this.#node,
      nodeTitle: current?.title ?? this.#node,
      ...this.#steps,
    };
  }

  #shareOfCurrent(): number {
    if (this.#steps === undefined || this.#steps.steps <= 0) return 0;
    return Math.min(1, Math.max(0, this.#steps.step / this.#steps.steps));
  }
}

function workflowNode(node: JsonText): WorkflowNode {
  const title = node.get('_meta')?.get('title')?.value();
  const classType = node.get('class_type')?.value();
  return {
    title: typeof title === 'string' && title !== '' ? title : String(classType),
    weight: node.get('inputs')?.get('latent_image') === undefined ? 1 : SAMPLER_WEIGHT,
  };
}

const SAMPLER_WEIGHT = 10;
