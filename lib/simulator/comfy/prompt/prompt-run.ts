import { setImmediate as nextTurn } from 'node:timers/promises';
import { isError } from '../../../errors.ts';
import { JsonText } from '../../../json.ts';
import {
  isBlocker,
  ProcessCrash,
  type Blocker,
  type NodeContext,
  type NodeResult,
  type Catalogue,
} from '../nodes/node.ts';
import type { ResultCache } from './cache.ts';
import { runOverLists } from './run-over-lists.ts';
import { describeException, describeInputs } from '../python/exceptions.ts';
import type { Graph } from '../validation/graph.ts';
import type { NodeOutput, Outcome, StatusMessage } from './history.ts';
import { Plan } from './plan.ts';
import { pnginfoOf, PreparedGraph } from './prepared-graph.ts';
import { ProgressState, type PromptEvents, type RecordedType } from './prompt-events.ts';
import { writeJson } from '../python/python-json.ts';
import type { QueuedPrompt } from './queue.ts';

/** The state all prompts of a process share. */
export interface ExecutorState {
  readonly catalogue: Catalogue;
  readonly cache: ResultCache;
  readonly events: PromptEvents;
  /** ComfyUI's interrupt flag: one for the whole process. Cleared when a prompt starts and when a node has seen it. */
  readonly interruption: { requested: boolean };
  readonly work: (ms: number) => Promise<void>;
  readonly note: (text: string) => void;
  /** Throws when the executor has been killed. */
  readonly checkAlive: () => void;
}

/** Why a prompt stopped before all its nodes were done. */
type StopReason = 'interrupted' | 'failed';

/** Names of lazy inputs that a node turns out to need. */
type Needs = readonly string[];

class Interrupted extends Error {}

/** One prompt, from `execution_start` to its terminal message (`PromptExecutor.execute_async` in ComfyUI). */
export class PromptRun {
  /** @throws PythonError for a graph that kills ComfyUI's executor; Error when the executor has been killed. */
  static async run(prompt: QueuedPrompt, state: ExecutorState): Promise<Outcome> {
    state.interruption.requested = false;
    state.events.begin(prompt.extraData.get('client_id'));
    const started = state.events.record('execution_start', prompt.promptId);
    const prepared = await PreparedGraph.prepare(prompt.graph as Graph, state.catalogue);
    state.cache.keepOnly(prepared.signatures.values());
    return new PromptRun(prompt, prepared, state).#run(started);
  }

  readonly #prompt: QueuedPrompt;
  readonly #prepared: PreparedGraph;
  readonly #state: ExecutorState;
  readonly #progress: ProgressState;
  readonly #outputs = new Map<string, NodeOutput>();
  readonly #messages: StatusMessage[] = [];
  /** Nodes that ran, without cached ones. */
  readonly #executed: string[] = [];
  #promptJson: JsonText | undefined;

  private constructor(prompt: QueuedPrompt, prepared: PreparedGraph, state: ExecutorState) {
    this.#prompt = prompt;
    this.#prepared = prepared;
    this.#state = state;
    this.#progress = new ProgressState(prompt.promptId);
  }

  async #run(started: StatusMessage): Promise<Outcome> {
    this.#messages.push(started);
    this.#record('execution_cached', { nodes: this.#nodeIds.filter((id) => this.#isCached(id)) });
    const stop = await this.#runNodes();
    return { outputs: this.#outputs, succeeded: stop === undefined, messages: this.#messages };
  }

  async #runNodes(): Promise<StopReason | undefined> {
    const plan = new Plan(this.#prompt.outputs, {
      graph: this.#prepared.graph,
      isCached: (id) => this.#isCached(id),
      isOutput: (id) => this.#prepared.describedNode(id).info.output_node,
      lazyInputs: (id) => this.#prepared.lazyInputs(id),
    });
    while (!plan.isDone) {
      const id = plan.next();
      if (id === undefined) {
        this.#recordCycle(plan.firstWaiting);
        return;
      }
      const stop = await this.#runNode(id);
      if (typeof stop === 'string') return stop;
      if (stop) plan.require(id, this.#prepared.sourcesOf(id, stop));
      else plan.done(id);
    }
    this.#record('execution_success', {});
    return undefined;
  }

  async #runNode(id: string): Promise<StopReason | Needs | undefined> {
    if (this.#isCached(id)) {
      this.#reuse(id);
      return;
    }
    this.#progress.start(id);
    this.#state.events.progressState(this.#progress);
    this.#state.events.executing(this.#prompt.promptId, id);
    try {
      return await this.#execute(id);
    } catch (error) {
      this.#state.checkAlive();
      if (error instanceof ProcessCrash) throw error;
      return this.#recordFailure(id, error);
    }
  }

  /** Returns the inputs that must be known first, if there are any. */
  async #execute(id: string): Promise<Needs | undefined> {
    // ComfyUI serves HTTP in another thread, so an interrupt can arrive between any two nodes.
    await nextTurn();
    this.#throwIfInterrupted();
    const { cache } = this.#state;
    const inputs = this.#prepared.gatherInputs(id, cache);
    const described = this.#prepared.describedNode(id);
    const needs =
      described.definition.needs?.(inputs).filter((name) => inputs[name] === undefined) ?? [];
    if (needs.length > 0) return needs;
    const result = await runOverLists(described, inputs, (values) => this.#runOnce(id, values));
    this.#state.checkAlive();
    const shown = result.ui && this.#show(id, result.ui);
    cache.set(this.#prepared.signatures.get(id), { outputs: result.outputs ?? [], shown });
    this.#executed.push(id);
    this.#finish(id);
    return undefined;
  }

  async #runOnce(id: string, values: Readonly<Record<string, unknown>>): Promise<NodeResult> {
    const blocker = Object.values(values).find(isBlocker);
    if (blocker) return this.#block(id, blocker);
    const { definition } = this.#prepared.describedNode(id);
    return definition.execute(this.#prepared.nestInputs(id, values), this.#contextOf(id));
  }

  /** A bug of ComfyUI before 0.28: without a client, the outputs of cached nodes are missing from the history. */
  #reuse(id: string): undefined {
    const { cache, events, catalogue } = this.#state;
    const shown = cache.get(this.#prepared.signatures.get(id))?.shown;
    if (events.hasClient) events.executed(this.#prompt.promptId, id, shown?.ui ?? null);
    const isLost = !events.hasClient && catalogue.profile.losesCachedOutputs;
    if (shown && !isLost) this.#outputs.set(id, shown);
    this.#finish(id);
  }

  #show(id: string, ui: NonNullable<NodeResult['ui']>): NodeOutput {
    const meta = { node_id: id, display_node: id, parent_node: null, real_node_id: id };
    const shown = { ui, meta };
    this.#outputs.set(id, shown);
    this.#state.events.executed(this.#prompt.promptId, id, ui);
    return shown;
  }

  #finish(id: string): void {
    this.#progress.finish(id);
    this.#state.events.progressState(this.#progress);
  }

  /** Passes the blocker on to all outputs. Its message is sent once, for the first node it blocks. */
  #block(id: string, { message }: Blocker): NodeResult {
    if (message !== undefined) {
      this.#state.events.blocked({
        prompt_id: this.#prompt.promptId,
        ...this.#place(id),
        exception_message: `Execution Blocked: ${message}`,
        exception_type: 'ExecutionBlocked',
        traceback: [],
        current_inputs: [],
        current_outputs: [],
      });
    }
    const { output } = this.#prepared.describedNode(id).info;
    return { outputs: output.map(() => ({ blocked: true })) };
  }

  #contextOf(id: string): NodeContext {
    const pnginfo = pnginfoOf(this.#prompt);
    this.#promptJson ??= JsonText.parse(writeJson(this.#prompt.graph));
    return {
      ...this.#state.catalogue.host,
      nodeId: id,
      prompt: this.#promptJson,
      extraPnginfo: pnginfo && JsonText.parse(writeJson(pnginfo)),
      progress: (value, max, preview) => this.#step(id, { value, max, preview }),
      work: (ms) => this.#state.work(ms),
      note: (text) => this.#state.note(text),
    };
  }

  async #step(id: string, { value, max, preview }: StepReport): Promise<void> {
    this.#state.checkAlive();
    this.#throwIfInterrupted();
    this.#progress.update(id, value, max);
    this.#state.events.progressState(this.#progress);
    const step = { promptId: this.#prompt.promptId, nodeId: id, value, max };
    this.#state.events.progress(step, preview);
    await nextTurn();
  }

  #throwIfInterrupted(): void {
    const { interruption } = this.#state;
    if (!interruption.requested) return;
    interruption.requested = false;
    throw new Interrupted();
  }

  #recordFailure(id: string, error: unknown): StopReason {
    if (error instanceof Interrupted) {
      this.#record('execution_interrupted', this.#place(id));
      return 'interrupted';
    }
    const inputs = this.#prepared.gatherInputs(id, this.#state.cache);
    this.#record('execution_error', {
      ...this.#place(id),
      ...describeException(isError(error) ? error : new Error(String(error))),
      current_inputs: describeInputs({
        ...inputs,
        ...this.#prepared.gatherHidden(id, this.#prompt),
      }),
      current_outputs: this.#nodeIds,
    });
    return 'failed';
  }

  /** ComfyUI reports the error, but still counts the prompt as a success. */
  #recordCycle(id: string): undefined {
    const error = new Error('Dependency cycle detected');
    error.name = 'graph.DependencyCycleError';
    this.#record('execution_error', {
      ...this.#place(id),
      ...describeException(error),
      current_inputs: [],
      current_outputs: this.#nodeIds,
    });
  }

  #place(id: string) {
    const node_type = this.#prepared.classOf(id);
    return { node_id: id, node_type, executed: [...this.#executed] };
  }

  #record(type: RecordedType, data: Readonly<Record<string, unknown>>): void {
    this.#messages.push(this.#state.events.record(type, this.#prompt.promptId, data));
  }

  #isCached(id: string): boolean {
    return this.#prepared.isCached(id, this.#state.cache);
  }

  get #nodeIds(): string[] {
    return [...this.#prepared.graph.keys()];
  }
}

interface StepReport {
  readonly value: number;
  readonly max: number;
  readonly preview: Uint8Array | undefined;
}
