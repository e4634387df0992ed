import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import { Notifier, settlesWithin } from '../../waiting.ts';
import type { PromptFailure, PromptObserver } from '../backend.ts';
import { blockedText, executionErrorText, interruptedText } from '../nodes/node-failure.ts';
import type { PromptEvent } from '../transport/messages.ts';
import type { PromptListener } from '../transport/socket.ts';
import { isPng, lostImages, parsePreview, sendsImages } from './socket-images.ts';
import { ProgressMeter } from './progress-meter.ts';

/**
 * How far a prompt is.
 *
 * ```
 *   queued ──► running ──► ended ──► done
 * ```
 *
 * `ended`: ComfyUI has said how the prompt ended, but its history may not be written yet.
 * `done`: `executing` came with a null node, so the history is there or about to be. Times are those of the clock, in
 * milliseconds. Steps can be skipped: events get lost with a connection, and cached prompts report less.
 */
type PromptPhase =
  | { readonly name: 'queued' }
  | { readonly name: 'running'; readonly startedAt: number }
  | {
      readonly name: 'ended' | 'done';
      readonly startedAt: number | undefined;
      readonly endedAt: number;
    };

interface PromptState {
  readonly phase: PromptPhase;
  /** `detached`: the connection the prompt was submitted over is gone, so no more of its events can come. */
  readonly connection: 'attached' | 'detached';
}

/** How far a prompt came, for the report on its failure. Times are milliseconds. */
export interface PromptStanding extends Pick<
  PromptFailure,
  'activity' | 'nodeId' | 'nodeTitle' | 'progress'
> {
  readonly postedAt: number;
  /** Undefined when it has not begun. */
  readonly startedAt: number | undefined;
  /** Undefined while it runs. */
  readonly endedAt: number | undefined;
  /** No other prompt was in ComfyUI between post and end. False when that is not known. */
  readonly isAlone: boolean;
}

/** Findings about a prompt from its events. The history may not repeat them. */
export interface PromptReport {
  /** Error text of the node that raised. */
  readonly failure: string | undefined;
  /** Text about an interrupt. */
  readonly interrupted: string | undefined;
  /** Texts about branches that did not run although the prompt went on. */
  readonly warnings: readonly string[];
  /** Milliseconds each node was at work, by node id, as far as events came. */
  readonly nodeMs: Readonly<Record<string, number>>;
}

/** Follows one prompt on the socket, and wakes `wait()` when it is time to look at the prompt. */
export class PromptWatch implements PromptListener {
  readonly #clientId: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #observer: PromptObserver;
  readonly #workflow: JsonText;
  /** Nodes that sent images of the result through the socket. */
  readonly #imageSenders = new Set<string>();
  readonly #meter: ProgressMeter;
  readonly #wakeUp = new Notifier();
  #mustLook = false;
  #state: PromptState = { phase: { name: 'queued' }, connection: 'attached' };
  #failure: string | undefined;
  #interrupted: string | undefined;
  readonly #warnings: string[] = [];
  #lastEventAt: number;
  readonly #postedAt: number;
  #isAlone = true;

  /** `clientId` is that of the connection the prompt is submitted over. */
  constructor({
    clientId,
    workflow,
    clock,
    log,
    observer,
  }: {
    readonly clientId: string;
    readonly workflow: JsonText;
    readonly clock: Clock;
    readonly log: Logger;
    readonly observer: PromptObserver;
  }) {
    this.#clientId = clientId;
    this.#clock = clock;
    this.#log = log;
    this.#observer = observer;
    this.#workflow = workflow;
    this.#meter = new ProgressMeter(workflow);
    this.#lastEventAt = this.#postedAt = clock.now();
  }

  get state(): PromptState {
    return this.#state;
  }

  get report(): PromptReport {
    // After a lost connection, nodes may have sent images to nobody.
    const isDetached = this.#state.connection === 'detached';
    const lost = isDetached ? lostImages(this.#workflow, this.#imageSenders) : [];
    return {
      failure: this.#failure,
      interrupted: this.#interrupted,
      warnings: [...this.#warnings, ...lost],
      nodeMs: this.#meter.nodeMs,
    };
  }

  /**
   * `failedNode`: id of the node that raised. `processUsedAt`: when ComfyUI's process last used a processor or a disk, if
   * that is known.
   */
  standing({
    failedNode,
    processUsedAt = 0,
  }: {
    readonly failedNode?: string | undefined;
    readonly processUsedAt?: number | undefined;
  } = {}): PromptStanding {
    const { phase, connection } = this.#state;
    const { node, percent, step, steps } = this.#meter.progress;
    const nodeId = failedNode ?? (node === '' ? undefined : node);
    const isQuiet = this.#clock.now() - Math.max(this.#lastEventAt, processUsedAt) > QUIET_MS;
    const isStepping = step !== undefined && this.silentMs <= QUIET_MS;
    const atWork = isStepping ? 'sampling' : isQuiet ? 'silent' : 'loading';
    return {
      activity: phase.name === 'queued' ? 'queued' : atWork,
      nodeId,
      nodeTitle: nodeId === undefined ? undefined : this.#meter.titleOf(nodeId),
      progress: { percent, ...(step !== undefined && { step, steps }) },
      postedAt: this.#postedAt,
      startedAt: 'startedAt' in phase ? phase.startedAt : undefined,
      endedAt: 'endedAt' in phase ? phase.endedAt : undefined,
      isAlone: this.#isAlone && connection === 'attached',
    };
  }

  /** Milliseconds since the last event, or since {@link excuseSilence}. */
  get silentMs(): number {
    return this.#clock.now() - this.#lastEventAt;
  }

  onEvent(event: PromptEvent): void {
    const now = (this.#lastEventAt = this.#clock.now());
    switch (event.type) {
      case 'started':
        this.markStarted();
        break;
      case 'executed': {
        const { node, output } = event;
        if (output) this.#notify((observer) => observer.onOutput?.(node, output));
        break;
      }
      case 'blocked':
        this.#warnings.push(blockedText(event.failure));
        break;
      case 'failed': {
        const { nodeId, nodeType, exceptionType, traceback } = event.failure;
        this.#log.warn({ nodeId, nodeType, exceptionType, traceback }, 'A node raised');
        this.#failure = executionErrorText(event.failure);
        this.#markEnded('ended');
        break;
      }
      case 'interrupted':
        this.#interrupted = interruptedText(event.failure);
        this.#markEnded('ended');
        break;
      case 'succeeded':
        this.#markEnded('ended');
        break;
      case 'done':
        this.#markEnded('done');
        this.#notify((observer) => observer.onDone?.());
        this.wake();
        break;
      case 'cached':
      case 'executing':
      case 'progress':
        break;
    }
    const progress = this.#meter.record(event, now);
    if (progress) this.#notify((observer) => observer.onProgress?.(progress));
  }

  /** On a later connection no events of this prompt come, but every socket is told when the queue changes. */
  onQueueChange(remaining: number | undefined): void {
    if (remaining !== undefined && remaining > 1 && !('endedAt' in this.#state.phase))
      this.#isAlone = false;
    if (this.#state.connection === 'detached') this.wake();
  }

  /** A binary frame does not name its prompt: it belongs to the one that runs. */
  onBinary(frame: Buffer): void {
    if (this.#state.phase.name === 'queued') return;
    this.#lastEventAt = this.#clock.now();
    if (this.#state.phase.name !== 'running') return;
    const nodeId = this.#meter.node;
    const isResult = isPng(frame) && sendsImages(this.#workflow, nodeId);
    if (!isResult && !this.#observer.onPreview) return;
    const preview = parsePreview(frame);
    if (!preview) return;
    const image = { ...preview, ...(nodeId !== undefined && { nodeId }) };
    if (isResult && nodeId !== undefined) {
      this.#imageSenders.add(nodeId);
      this.#notify((observer) => observer.onImage?.({ ...preview, nodeId }));
    } else this.#notify((observer) => observer.onPreview?.(image));
  }

  onDisconnect(clientId: string): void {
    if (clientId === this.#clientId) this.#change({ connection: 'detached' });
    if (this.#state.connection === 'detached') this.wake();
  }

  /** The prompt runs, according to an event or to the queue. */
  markStarted(): void {
    if (this.#state.phase.name !== 'queued') return;
    this.#change({ phase: { name: 'running', startedAt: this.#clock.now() } });
    this.#notify((observer) => observer.onStarted?.());
  }

  /** Restarts the time of silence, because it is no bad sign while other prompts run or no events can come. */
  excuseSilence(): void {
    this.#lastEventAt = this.#clock.now();
  }

  /** Ends the current or the next `wait()`. */
  wake(): void {
    this.#mustLook = true;
    this.#wakeUp.notify();
  }

  /** Resolves after `wake()`, or when no event has come for `silenceMs`. */
  async wait(silenceMs: number): Promise<void> {
    let restMs = silenceMs;
    while (!this.#mustLook && restMs > 0) {
      await settlesWithin(this.#wakeUp.notified(), { ms: restMs, clock: this.#clock });
      restMs = silenceMs - this.silentMs;
    }
    this.#mustLook = false;
  }

  #markEnded(name: 'ended' | 'done'): void {
    const { phase } = this.#state;
    const startedAt = phase.name === 'queued' ? undefined : phase.startedAt;
    const endedAt = 'endedAt' in phase ? phase.endedAt : this.#clock.now();
    const isDone = name === 'done' || phase.name === 'done';
    this.#change({ phase: { name: isDone ? 'done' : 'ended', startedAt, endedAt } });
  }

  #change(change: Partial<PromptState>): void {
    this.#state = { ...this.#state, ...change };
    const { phase, connection } = this.#state;
    this.#log.debug({ phase: phase.name, connection }, 'The state of the prompt changed');
  }

  /** An exception in a callback must not stop the reading of the socket. */
  #notify(call: (observer: PromptObserver) => void): void {
    try {
      call(this.#observer);
    } catch (error) {
      this.#log.error({ reason: describeError(error) }, 'A callback of the prompt threw');
    }
  }
}

/** Without a message for longer, a prompt that runs is loading, or silent. */
const QUIET_MS = 5000;
