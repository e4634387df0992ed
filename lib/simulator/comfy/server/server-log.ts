import type { SocketTable } from './sockets.ts';
import { message } from '../prompt/prompt-events.ts';

export interface LogEntry {
  /** Local time with microseconds. */
  readonly t: string;
  readonly m: string;
}

type Level = keyof typeof TAGS;

/**
 * The last lines a ComfyUI would have printed, for `/internal/logs`, and the websockets that asked for new ones
 * (`app/logger.py` and `terminal_service.py`). A terminal has 80 columns and 24 rows.
 */
export class ServerLog {
  readonly #entries: LogEntry[] = [];
  readonly #subscribers = new Set<string>();
  readonly #sockets: SocketTable;
  readonly #tagsLogs: boolean;
  readonly #print: ((line: string) => void) | undefined;
  #knowsSize = false;

  /** `print` gets each line as well. */
  constructor(
    sockets: SocketTable,
    {
      tagsLogs,
      print,
    }: { readonly tagsLogs: boolean; readonly print?: ((line: string) => void) | undefined },
  ) {
    this.#sockets = sockets;
    this.#tagsLogs = tagsLogs;
    this.#print = print;
  }

  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** The terminal's size; later messages do not repeat it. */
  size(): { readonly cols: number; readonly rows: number } {
    this.#knowsSize = true;
    return TERMINAL;
  }

  subscribe(clientId: string, enabled: boolean): void {
    if (enabled) this.#subscribers.add(clientId);
    else this.#subscribers.delete(clientId);
  }

  /** Adds a line and sends it to all subscribers. A subscriber without a socket is removed. */
  add(text: string, level: Level = 'INFO'): void {
    const entry = { t: localTime(), m: `${this.#tagsLogs ? TAGS[level] : ''}${text}\n` };
    this.#print?.(entry.m.trimEnd());
    this.#entries.push(entry);
    if (this.#entries.length > CAPACITY) this.#entries.shift();
    if (this.#subscribers.size === 0) return;
    const size = this.#knowsSize ? null : this.size();
    for (const clientId of this.#subscribers) {
      if (!this.#sockets.has(clientId)) this.#subscribers.delete(clientId);
      else this.#sockets.publish(message('logs', { entries: [entry], size }), clientId);
    }
  }
}

const CAPACITY = 300;
const TERMINAL = { cols: 80, rows: 24 };

const TAGS = {
  INFO: '\u001b[32m[INFO]\u001b[0m ',
  WARNING: '\u001b[1m\u001b[33m[WARNING]\u001b[0m ',
  ERROR: '\u001b[1m\u001b[31m[ERROR]\u001b[0m ',
};

/** `datetime.now().isoformat()`. */
function localTime(): string {
  const now = new Date();
  const local = new Date(now.getTime() - now.getTimezoneOffset() * 60_000).toISOString();
  return `${local.slice(0, -1)}000`;
}
