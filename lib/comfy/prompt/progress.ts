import { isDeepStrictEqual } from 'node:util';
import type { JsonText } from '../../json.ts';
import type { Progress } from '../backend.ts';
import type { PromptEvent } from '../transport/messages.ts';

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
  #node = '';
  #steps: { readonly step: number; readonly steps: number } | undefined;
  #told: Progress = { percent: 0, node: '', nodeTitle: '' };

  constructor(workflow: JsonText) {
    this.#nodes = new Map(workflow.entries().map(([id, node]) => [id, workflowNode(node)]));
    this.#total = [...this.#nodes.values()].reduce((sum, { weight }) => sum + weight, 0);
  }

  /** The node at work, once there is one. */
  get node(): string | undefined {
    return this.#node === '' ? undefined : this.#node;
  }

  /** Takes note of an event; the progress after it, or undefined when nothing has changed. */
  record(event: PromptEvent): Progress | undefined {
    this.#take(event);
    const now = this.#now();
    if (isDeepStrictEqual(now, this.#told) || now.node === '') return undefined;
    return (this.#told = now);
  }

  #take(event: PromptEvent): void {
    if (event.type === 'cached') event.nodes.forEach((node) => this.#finish(node));
    if (event.type === 'executing' && event.node !== this.#node) this.#begin(event.node);
    if (event.type === 'progress') this.#advance(event.node, event.value, event.max);
    if (event.type === 'executed') this.#makeOutput(event.node);
    if (event.type === 'succeeded') this.#complete();
  }

  #begin(node: string): void {
    this.#finish(this.#node);
    this.#node = node;
    this.#steps = undefined;
  }

  /** Inside an expanded node the ids (`5.0.0.1`) are not of the workflow; the visible node stays. */
  #advance(node: string, step: number, steps: number): void {
    if (this.#nodes.has(node)) this.#node = node;
    this.#steps = { step, steps };
  }

  /** A cached output node is never said to be executing. */
  #makeOutput(node: string): void {
    this.#node ||= node;
    this.#finish(node);
  }

  #complete(): void {
    this.#finishedWeight = this.#total;
    this.#steps = undefined;
  }

  #finish(node: string): void {
    if (this.#finished.has(node)) return;
    this.#finished.add(node);
    this.#finishedWeight += this.#nodes.get(node)?.weight ?? 0;
  }

  #now(): Progress {
    const done = this.#finishedWeight + this.#weightOfSteps();
    const percent = Math.min(100, Math.floor((100 * done) / Math.max(1, this.#total)));
    return {
      percent: Math.max(this.#told.percent, percent),
      node: this.#node,
      nodeTitle: this.#nodes.get(this.#node)?.title ?? this.#node,
      ...this.#steps,
    };
  }

  #weightOfSteps(): number {
    if (this.#steps === undefined || this.#steps.steps <= 0) return 0;
    if (this.#finished.has(this.#node)) return 0;
    const share = Math.min(1, Math.max(0, this.#steps.step / this.#steps.steps));
    return share * (this.#nodes.get(this.#node)?.weight ?? 0);
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
