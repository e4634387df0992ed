/** Everything tests and faults can wait for. Names of ComfyUI's own messages where there is one. */
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
  /** The prompt is over, and `executing` without a node comes next. */
  | 'ended'
  /** The entry can be read at `/history`. */
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
  /** `POST /prompt`, of a request. */
  readonly request?: string;
}

/** What must be equal for an event to be the one meant. */
export type EventMatch = Partial<Omit<SimulatorEvent, 'at'>>;

export interface WaitOptions {
  /** Look only at what happens from now on. */
  readonly next?: boolean;
  readonly timeoutMs?: number;
}

type Listener = (event: SimulatorEvent) => void;

/** What happened lately, and who waits for something to happen. Listeners run before anything is sent. */
export class EventLog {
  readonly #events: SimulatorEvent[] = [];
  readonly #listeners = new Set<Listener>();

  announce(type: EventType, facts: Omit<EventMatch, 'type'> = {}): void {
    const event = { ...facts, type, at: epochMs() };
    this.#events.push(event);
    if (this.#events.length > 2 * CAPACITY) this.#events.splice(0, CAPACITY);
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** The last few thousand events that match, oldest first. */
  past(match: EventMatch): SimulatorEvent[] {
    return this.#events.filter((event) => matches(event, match));
  }

  /** Calls `listener` until the function returned is called. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The first event that matches, also one that is past (of the last few thousand).
   * @throws Error when none came in time, ten seconds unless told otherwise.
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
