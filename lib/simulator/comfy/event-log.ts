/** Events that tests and faults can wait for, named after ComfyUI's messages where there is one. */
export type EventType =
  | 'request'
  | 'socket_open'
  | 'socket_close'
  | 'accepted'
  | 'execution_start'
  | 'execution_cached'
  | 'executing'
  | 'progress'
  | 'preview'
  | 'executed'
  | 'execution_success'
  | 'execution_error'
  | 'execution_interrupted'
  /** The prompt has ended; `executing` without a node is sent next. */
  | 'ended'
  /** The prompt's entry is in `/history`. */
  | 'history'
  | 'executor_died'
  | 'process_died';

export interface SimulatorEvent {
  readonly type: EventType;
  /** Milliseconds since the epoch, with a fraction. */
  readonly at: number;
  readonly promptId?: string;
  readonly nodeId?: string;
  readonly clientId?: string;
  /** Method and path of a request: `POST /prompt`. */
  readonly request?: string;
}

/** An event matches when all members given here are equal. */
export type EventMatch = Partial<Omit<SimulatorEvent, 'at'>>;

export interface WaitOptions {
  /** Ignore past events. */
  readonly next?: boolean;
  readonly timeoutMs?: number;
}

type Listener = (event: SimulatorEvent) => void;

/** Recent events, and listeners for new ones. Listeners are called before the message of the event is sent. */
export class EventLog {
  readonly #events: SimulatorEvent[] = [];
  readonly #listeners = new Set<Listener>();

  announce(type: EventType, details: Omit<EventMatch, 'type'> = {}): void {
    const event = { ...details, type, at: epochMs() };
    this.#events.push(event);
    if (this.#events.length > 2 * CAPACITY) this.#events.splice(0, CAPACITY);
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Matching events among the last few thousand, oldest first. */
  past(match: EventMatch): SimulatorEvent[] {
    return this.#events.filter((event) => matches(event, match));
  }

  /** Calls `listener` until the function returned is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The first matching event, including past ones (among the last few thousand).
   * @throws Error after `timeoutMs`, default 10 s.
   */
  waitFor(match: EventMatch, options: WaitOptions = {}): Promise<SimulatorEvent> {
    const { next = false, timeoutMs = 10_000 } = options;
    const past = next ? undefined : this.#events.find((event) => matches(event, match));
    return past ? Promise.resolve(past) : this.#waitForNext(match, timeoutMs);
  }

  #waitForNext(match: EventMatch, timeoutMs: number): Promise<SimulatorEvent> {
    const { promise, resolve, reject } = Promise.withResolvers<SimulatorEvent>();
    const stop = this.listen((event) => matches(event, match) && resolve(event));
    const timer = setTimeout(() => reject(new Error(lateText(match, timeoutMs))), timeoutMs);
    return promise.finally(() => {
      stop();
      clearTimeout(timer);
    });
  }
}

export function matches(event: SimulatorEvent, match: EventMatch): boolean {
  return Object.entries(match).every(([key, value]) => event[key as keyof EventMatch] === value);
}

const lateText = (match: EventMatch, timeoutMs: number) =>
  `The simulated ComfyUI saw no ${JSON.stringify(match)} within ${timeoutMs} ms`;

/** Comparable between processes of one machine, and finer than `Date.now()`. */
export function epochMs(): number {
  return performance.timeOrigin + performance.now();
}

const CAPACITY = 2_000;
