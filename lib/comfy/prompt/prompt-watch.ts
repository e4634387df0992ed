import type { Clock } from '../../clock.ts';
import { describeError } from '../../errors.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { PromptObserver } from '../backend.ts';
import type { PromptEvent } from '../transport/messages.ts';
import {
  blockedText,
  executionErrorText,
  interruptedText,
  type NodeFailure,
} from '../nodes/node-failure.ts';
import { NodeTimes } from './node-times.ts';
import { parsePreview } from './preview.ts';
import { ProgressMeter } from './progress.ts';
import type { PromptListener } from '../transport/socket.ts';

interface WatchParts {
  /** Of the connection the prompt is submitted over. */
  readonly clientId: string;
  readonly workflow: JsonText;
  readonly clock: Clock;
  readonly log: Logger;
  readonly observer: PromptObserver;
}

/** What has been heard about one prompt, and a bell that wakes the one who waits for it. */
export class PromptWatch implements PromptListener {
  readonly #clientId: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #observer: PromptObserver;
  readonly #meter: ProgressMeter;
  readonly #times = new NodeTimes();
  readonly #warnings: string[] = [];
  #failure: string | undefined;
  #interrupted: string | undefined;
  #ended = false;
  #done = false;
  #deaf = false;
  #startedAt: number | undefined;
  #endedAt: number | undefined;
  #lastHeardAt: number;
  #rung = false;
  #wake: (() => void) | undefined;

  constructor({ clientId, workflow, clock, log, observer }: WatchParts) {
    this.#clientId = clientId;
    this.#clock = clock;
    this.#log = log;
    this.#observer = observer;
    this.#meter = new ProgressMeter(workflow);
    this.#lastHeardAt = clock.now();
  }

  /** Whether `executing` with a null node has come: the history is there, or about to be. */
  get done(): boolean {
    return this.#done;
  }

  /** Whether ComfyUI has said how the prompt ended, even if the connection broke before it was `done`. */
  get ended(): boolean {
    return this.#ended || this.#done;
  }

  get startedAt(): number | undefined {
    return this.#startedAt;
  }

  get endedAt(): number | undefined {
    return this.#endedAt;
  }

  /** Milliseconds each node took, as far as it was heard. */
  get nodeMs(): Readonly<Record<string, number>> {
    return this.#times.byNode;
  }

  /** Milliseconds since anything was heard. */
  get silentMs(): number {
    return this.#clock.now() - this.#lastHeardAt;
  }

  /** Texts about parts of the workflow that did not run, while the rest did. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** The text of the node that raised, as heard on the socket. */
  get failure(): string | undefined {
    return this.#failure;
  }

  get interrupted(): string | undefined {
    return this.#interrupted;
  }

  /** No more events can come: the connection the prompt was submitted over is gone. */
  get deaf(): boolean {
    return this.#deaf;
  }

  onEvent(event: PromptEvent): void {
    this.#lastHeardAt = this.#clock.now();
    this.#times.record(event, this.#lastHeardAt);
    this.#record(event);
    const progress = this.#meter.record(event);
    if (progress) this.#tell((observer) => observer.onProgress?.(progress));
  }

  onStatus(): void {
    if (this.#deaf) this.ring();
  }

  /** The frame does not say whose it is: it belongs to the one prompt that runs. */
  onBinary(frame: Buffer): void {
    if (this.#startedAt === undefined) return;
    this.#lastHeardAt = this.#clock.now();
    if (this.#observer.onPreview && !this.ended) this.#preview(frame);
  }

  onLost(clientId: string): void {
    if (clientId === this.#clientId) this.#deaf = true;
    if (this.#deaf) this.ring();
  }

  /** ComfyUI has the prompt. */
  queued(): void {
    this.#tell((observer) => observer.onQueued?.());
  }

  /** The prompt runs; told by an event, or by the queue. */
  started(): void {
    if (this.#startedAt !== undefined) return;
    this.#startedAt = this.#clock.now();
    this.#tell((observer) => observer.onStarted?.());
  }

  /** Silence is no bad sign while others run. */
  excuseSilence(): void {
    this.#lastHeardAt = this.#clock.now();
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Resolves when the bell rings, or when nothing has been heard for `silenceMs`. */
  async wait(silenceMs: number): Promise<void> {
    let rest = silenceMs;
    while (!this.#rung && rest > 0) {
      await this.#sleep(rest);
      rest = silenceMs - this.silentMs;
    }
    this.#rung = false;
  }

  async #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const cancel = this.#clock.after(ms, () => resolve(undefined));
    this.#wake = () => resolve(undefined);
    await promise;
    cancel();
  }

  #preview(frame: Buffer): void {
    const preview = parsePreview(frame);
    const nodeId = this.#meter.node;
    const known = nodeId === undefined ? {} : { nodeId };
    if (preview) this.#tell((observer) => observer.onPreview?.({ ...preview, ...known }));
  }

  #record(event: PromptEvent): void {
    if (event.type === 'started') this.started();
    if (event.type === 'executed') this.#announce(event.node, event.output);
    if (event.type === 'blocked') this.#warnings.push(blockedText(event.failure));
    if (event.type === 'interrupted') this.#interrupted = interruptedText(event.failure);
    if (event.type === 'failed') this.#fail(event.failure);
    if (ENDS.has(event.type)) this.#end();
    if (event.type === 'done') this.#finish();
  }

  #finish(): void {
    this.#done = true;
    this.#tell((observer) => observer.onEnded?.());
    this.ring();
  }

  #end(): void {
    this.#ended = true;
    this.#endedAt ??= this.#clock.now();
  }

  #announce(node: string, output: JsonText | undefined): void {
    if (output) this.#tell((observer) => observer.onOutput?.(node, output));
  }

  #fail(failure: NodeFailure): void {
    const { nodeId, nodeType, exceptionType, traceback } = failure;
    this.#failure = executionErrorText(failure);
    this.#log.warn({ nodeId, nodeType, exceptionType, traceback }, 'a node raised');
  }

  /** An observer's mistake must not stop the reading of the socket. */
  #tell(say: (observer: PromptObserver) => void): void {
    try {
      say(this.#observer);
    } catch (error) {
      this.#log.error({ error: describeError(error) }, 'an observer of the prompt failed');
    }
  }
}

const ENDS: ReadonlySet<PromptEvent['type']> = new Set([
  'succeeded',
  'failed',
  'interrupted',
  'done',
]);
