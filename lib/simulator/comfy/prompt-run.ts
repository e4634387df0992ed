import { setImmediate as nextTurn } from 'node:timers/promises';
import { isError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { ResultCache } from './cache.ts';
import { isBlocker, type Blocker } from './blocker.ts';
import { describeException, describeInputs } from './exceptions.ts';
import { classOf, declaredInputs, hiddenInputs, inputsOf, maybeLink, type Graph } from './graph.ts';
import type { NodeOutput, Outcome, StatusMessage } from './history.ts';
import type { NodeContext, NodeResult } from './node.ts';
import { signGraph } from './node-signature.ts';
import { Plan } from './plan.ts';
import { ProcessCrash } from './process-crash.ts';
import { ProgressState } from './progress-state.ts';
import type { PromptEvents } from './prompt-events.ts';
import { toPlain, writeJson, type PyValue } from './python-json.ts';
import { pyRepr } from './python-text.ts';
import type { QueuedPrompt } from './queue.ts';
import { describe, type Catalogue, type DescribedNode } from './validate.ts';

/** What a run shares with the ones before and after it. */
export interface Workshop {
  readonly catalogue: Catalogue;
  readonly cache: ResultCache;
  readonly events: PromptEvents;
  /** ComfyUI's one flag for the whole process; cleared when a prompt starts, and when somebody heeds it. */
  readonly interruption: { requested: boolean };
  readonly work: (ms: number) => Promise<void>;
  /** Throws when the executor has been killed. */
  readonly checkAlive: () => void;
}

/** What stopped a prompt before all its nodes were done. */
type Stop = 'interrupted' | 'failed';

class Interrupted extends Error {}

/** One prompt from `execution_start` to its terminal message (`PromptExecutor.execute_async` in ComfyUI). */
export class PromptRun {
  readonly #prompt: QueuedPrompt;
  readonly #workshop: Workshop;
  readonly #graph: Graph;
  readonly #progress: ProgressState;
  readonly #outputs = new Map<string, NodeOutput>();
  readonly #messages: StatusMessage[] = [];
  /** Nodes that really ran. */
  readonly #executed: string[] = [];
  #described: ReadonlyMap<string, DescribedNode> = new Map();
  #signatures: ReadonlyMap<string, string> = new Map();
  #promptJson: JsonText | undefined;

  constructor(prompt: QueuedPrompt, workshop: Workshop) {
    this.#prompt = prompt;
    this.#workshop = workshop;
    this.#graph = prompt.graph as Graph;
    this.#progress = new ProgressState(prompt.promptId);
  }

  /** @throws for a graph that kills ComfyUI's executor, and when the executor has been killed. */
  async run(): Promise<Outcome> {
    const { cache, catalogue, events, interruption } = this.#workshop;
    interruption.requested = false;
    events.begin(this.#prompt.extraData.get('client_id'));
    this.#record('execution_start', {});
    this.#described = await describe(classesOf(this.#graph), catalogue);
    this.#signatures = await signGraph(this.#graph, this.#described, catalogue.host);
    cache.keepOnly(this.#signatures.values());
    this.#record('execution_cached', { nodes: [...this.#graph.keys()].filter(this.#isCached) });
    const succeeded = (await this.#runNodes()) === undefined;
    return { outputs: this.#outputs, succeeded, messages: this.#messages };
  }

  async #runNodes(): Promise<Stop | undefined> {
    const plan = new Plan(this.#prompt.outputs, {
      graph: this.#graph,
      isCached: this.#isCached,
      isOutput: (id) => this.#describedNode(id).info.output_node,
    });
    while (!plan.isDone) {
      const id = plan.next();
      if (id === undefined) {
        this.#recordCycle(plan.blamed() ?? '');
        return;
      }
      const stop = await this.#runNode(id);
      if (stop) return stop;
      plan.done(id);
    }
    this.#record('execution_success', {});
    return undefined;
  }

  async #runNode(id: string): Promise<Stop | undefined> {
    if (this.#isCached(id)) {
      this.#reuse(id);
      return;
    }
    this.#progress.start(id);
    this.#workshop.events.progressState(this.#progress);
    this.#workshop.events.executing(this.#prompt.promptId, id);
    try {
      await this.#execute(id);
      return undefined;
    } catch (error) {
      this.#workshop.checkAlive();
      if (error instanceof ProcessCrash) throw error;
      return this.#recordFailure(id, error);
    }
  }

  async #execute(id: string): Promise<void> {
    // HTTP is served by another thread in ComfyUI: an interrupt gets through between any two nodes.
    await nextTurn();
    this.#heedInterruption();
    const inputs = this.#gather(id);
    const blocker = Object.values(inputs).find(isBlocker);
    const result = blocker
      ? this.#block(id, blocker)
      : await this.#describedNode(id).definition.execute(inputs, this.#contextOf(id));
    this.#workshop.checkAlive();
    const shown = result.ui && this.#show(id, result.ui);
    this.#workshop.cache.set(this.#signatureOf(id), { outputs: result.outputs ?? [], shown });
    this.#executed.push(id);
    this.#finish(id);
  }

  /** Without a client ComfyUI 0.8.0 forgets to report what a cached node showed: its history then has no outputs. */
  #reuse(id: string): undefined {
    const shown = this.#workshop.cache.get(this.#signatureOf(id))?.shown;
    if (this.#workshop.events.hasClient) {
      this.#workshop.events.executed(this.#prompt.promptId, id, shown?.ui ?? null);
      if (shown) this.#outputs.set(id, shown);
    }
    this.#finish(id);
  }

  #show(id: string, ui: NonNullable<NodeResult['ui']>): NodeOutput {
    const meta = { node_id: id, display_node: id, parent_node: null, real_node_id: id };
    const shown = { ui, meta };
    this.#outputs.set(id, shown);
    this.#workshop.events.executed(this.#prompt.promptId, id, ui);
    return shown;
  }

  #finish(id: string): void {
    this.#progress.finish(id);
    this.#workshop.events.progressState(this.#progress);
  }

  /** Passes the blocker on; its message is told once, by the first node it stops. */
  #block(id: string, { message }: Blocker): NodeResult {
    if (message !== undefined) {
      this.#workshop.events.blocked({
        prompt_id: this.#prompt.promptId,
        ...this.#place(id),
        exception_message: `Execution Blocked: ${message}`,
        exception_type: 'ExecutionBlocked',
        traceback: [],
        current_inputs: [],
        current_outputs: [],
      });
    }
    return { outputs: this.#describedNode(id).info.output.map(() => ({ blocked: true })) };
  }

  #gather(id: string): Record<string, unknown> {
    const { info } = this.#describedNode(id);
    const inputs = this.#inputsOf(id);
    const values = declaredInputs(info).flatMap(({ name }) => {
      const value = inputs.get(name);
      return value === undefined ? [] : [[name, this.#resolve(value)] as const];
    });
    return Object.fromEntries(values);
  }

  #resolve(value: PyValue): unknown {
    const link = maybeLink(value);
    if (!link) return toPlain(value);
    return this.#workshop.cache.get(this.#signatureOf(link.from))?.outputs.at(link.slot);
  }

  #contextOf(id: string): NodeContext {
    const { host } = this.#workshop.catalogue;
    return {
      folders: host.folders,
      models: host.models,
      nodeId: id,
      prompt: this.#json(),
      extraPnginfo: this.#extraPnginfo(),
      progress: (value, max, preview) => this.#step(id, value, max, preview),
      work: (ms) => this.#workshop.work(ms),
    };
  }

  async #step(id: string, value: number, max: number, preview?: Uint8Array): Promise<void> {
    this.#workshop.checkAlive();
    this.#heedInterruption();
    this.#progress.update(id, value, max);
    this.#workshop.events.progressState(this.#progress);
    const step = { promptId: this.#prompt.promptId, nodeId: id, value, max };
    this.#workshop.events.progress(step, preview);
    await nextTurn();
  }

  #heedInterruption(): void {
    const { interruption } = this.#workshop;
    if (!interruption.requested) return;
    interruption.requested = false;
    throw new Interrupted();
  }

  #recordFailure(id: string, error: unknown): Stop {
    if (error instanceof Interrupted) {
      this.#record('execution_interrupted', this.#place(id));
      return 'interrupted';
    }
    this.#record('execution_error', {
      ...this.#place(id),
      ...describeException(isError(error) ? error : new Error(String(error))),
      current_inputs: this.#currentInputs(id),
      current_outputs: [...this.#graph.keys()],
    });
    return 'failed';
  }

  /** ComfyUI reports the error and then calls the prompt a success. */
  #recordCycle(id: string): undefined {
    const error = new Error('Dependency cycle detected');
    error.name = 'graph.DependencyCycleError';
    this.#record('execution_error', {
      ...this.#place(id),
      ...describeException(error),
      current_inputs: [],
      current_outputs: [...this.#graph.keys()],
    });
  }

  #currentInputs(id: string): Record<string, unknown> {
    const hidden = hiddenInputs(this.#describedNode(id).info).map(([name, wanted]) => [
      name,
      this.#hidden(id, wanted),
    ]);
    return describeInputs({ ...this.#gather(id), ...Object.fromEntries(hidden) });
  }

  #hidden(id: string, wanted: string): unknown {
    switch (wanted) {
      case 'PROMPT':
        return pyRepr(this.#prompt.graph);
      case 'EXTRA_PNGINFO':
        return this.#pnginfo() ? pyRepr(this.#pnginfo() ?? null) : null;
      case 'UNIQUE_ID':
        return id;
      default:
        return null;
    }
  }

  #place(id: string) {
    return {
      node_id: id,
      node_type: classOf(this.#graph.get(id) ?? new Map()),
      executed: [...this.#executed],
    };
  }

  #record(type: (typeof RECORDED)[number], data: Readonly<Record<string, unknown>>): void {
    const message = { prompt_id: this.#prompt.promptId, ...data };
    const stamped =
      type === 'execution_cached'
        ? { nodes: data.nodes, prompt_id: this.#prompt.promptId, timestamp: Date.now() }
        : { ...message, timestamp: Date.now() };
    this.#messages.push([type, stamped]);
    this.#workshop.events.record(type, stamped);
  }

  readonly #isCached = (id: string): boolean =>
    this.#workshop.cache.get(this.#signatures.get(id)) !== undefined;

  #signatureOf(id: string): string {
    return this.#signatures.get(id) ?? '';
  }

  #describedNode(id: string): DescribedNode {
    return this.#described.get(classOf(this.#graph.get(id) ?? new Map()))!;
  }

  #inputsOf(id: string) {
    return inputsOf(this.#graph.get(id) ?? new Map()) ?? new Map<string, PyValue>();
  }

  /** Made once per prompt, and only for graphs that save something. */
  #json(): JsonText {
    return (this.#promptJson ??= JsonText.parse(writeJson(this.#graph)));
  }

  #pnginfo(): PyValue | undefined {
    return this.#prompt.extraData.get('extra_pnginfo');
  }

  #extraPnginfo(): JsonText | undefined {
    const pnginfo = this.#pnginfo();
    return pnginfo instanceof Map ? JsonText.parse(writeJson(pnginfo)) : undefined;
  }
}

const RECORDED = [
  'execution_start',
  'execution_cached',
  'execution_success',
  'execution_error',
  'execution_interrupted',
] as const;

function classesOf(graph: Graph): Set<string> {
  return new Set([...graph.values()].map(classOf));
}
