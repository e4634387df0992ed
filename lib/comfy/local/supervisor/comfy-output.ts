import { basename } from 'node:path';

/** A line of ComfyUI's output, without colours and without the level that ComfyUI 0.33 writes before it. */
export interface OutputLine {
  readonly text: string;
  /** When it came, by the clock. */
  readonly at: number;
}

/** A node pack that ComfyUI could not load. */
export interface FailedImport {
  /** Name of its folder or file. */
  readonly name: string;
  /** Its folder or file as ComfyUI names it; undefined when ComfyUI tells only the name. */
  readonly path: string | undefined;
  readonly error: string;
  /** Lines of Python's traceback, with paths; empty when none was printed. */
  readonly traceback: readonly string[];
}

/** An event that a line of the output reports. */
export type OutputEvent =
  | { readonly type: 'executor died'; readonly text: string }
  | { readonly type: 'first prompt'; readonly seconds: string };

interface ComfyOutputOptions {
  /** When, by the clock, the process was started. */
  readonly startedAt: number;
  readonly now: () => number;
  readonly onLine: (line: OutputLine) => void;
  readonly onEvent: (event: OutputEvent) => void;
}

/**
 * Reads the output of one ComfyUI process. It keeps the last lines, the times of the start, and node packs that failed.
 * The texts are those of ComfyUI's `main.py`, `nodes.py` and `server.py`, the same in 0.8.0 and 0.33.0.
 */
export class ComfyOutput {
  readonly #options: ComfyOutputOptions;
  readonly #lines: OutputLine[] = [];
  readonly #failedImports = new Map<string, FailedImport>();
  readonly #phases = new Map<string, number>();
  #bytes = 0;
  #phaseAt: number;
  #traceback: string[] | undefined;
  #hasRunPrompt = false;

  constructor(options: ComfyOutputOptions) {
    this.#options = options;
    this.#phaseAt = options.startedAt;
  }

  /** The last lines, oldest first; at most `KEPT_LINES` and `KEPT_BYTES`. */
  get lines(): readonly OutputLine[] {
    return this.#lines;
  }

  /** The texts of the last lines that are not empty, for the log. */
  get lastTexts(): readonly string[] {
    const texts = this.#lines.map(({ text }) => text).filter((text) => text !== '');
    return texts.slice(-QUOTED_LINES);
  }

  get failedImports(): readonly FailedImport[] {
    return [...this.#failedImports.values()];
  }

  /** The last traceback, with the lines after it, unless it belongs to a node pack that ComfyUI goes on without. */
  get openTraceback(): readonly string[] {
    return this.#traceback ?? [];
  }

  /** Phases of the start and their seconds, as far as the output tells: `python 3.1 s, nodes 4.8 s`. */
  get bootPhases(): string {
    return [...this.#phases].map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)} s`).join(', ');
  }

  /** Reads a line. It may be part of a longer one that was cut. */
  add(raw: string): void {
    const text = plainLine(raw);
    const line = { text: text.slice(0, LINE_LENGTH), at: this.#options.now() };
    this.#keep(line);
    this.#readPhase(line);
    this.#readImports(text);
    this.#options.onLine(line);
    if (/^Exception in thread .*\(prompt_worker\)/.test(text))
      this.#options.onEvent({ type: 'executor died', text });
    const executed = /^Prompt executed in ([\d.]+) seconds/.exec(text);
    if (executed && !this.#hasRunPrompt) {
      this.#hasRunPrompt = true;
      this.#options.onEvent({ type: 'first prompt', seconds: executed[1] ?? '' });
    }
  }

  #keep(line: OutputLine): void {
    this.#lines.push(line);
    this.#bytes += line.text.length;
    while (this.#lines.length > KEPT_LINES || this.#bytes > KEPT_BYTES)
      this.#bytes -= this.#lines.shift()?.text.length ?? 0;
  }

  #readPhase({ text, at }: OutputLine): void {
    const phase = PHASES.find(({ end }) => end.test(text))?.name;
    if (phase === undefined || this.#phases.has(phase)) return;
    this.#phases.set(phase, at - this.#phaseAt);
    this.#phaseAt = at;
  }

  #readImports(text: string): void {
    if (/^(?:Traceback \(most recent call last\)|Fatal Python error: )/.test(text))
      this.#traceback = [text];
    else if (this.#traceback && this.#traceback.length < TRACEBACK_LINES)
      this.#traceback.push(text);
    const cannot = /^Cannot import (.+?) module for custom nodes: (.*)/.exec(text);
    const [, path = '', error = ''] = cannot ?? [];
    if (cannot) {
      const traceback = (this.#traceback ?? []).filter((one) => one !== text && one !== '');
      this.#traceback = undefined;
      this.#addImport({
        name: basename(path),
        path,
        error: errorLine(traceback) ?? error,
        traceback,
      });
    }
    const failed = /^(?:IMPORT FAILED: |\s*[\d.]+ seconds \(IMPORT FAILED\): )(.+)/.exec(text)?.[1];
    if (failed !== undefined) {
      const isPath = failed.includes('/');
      const name = basename(failed);
      if (!this.#failedImports.has(name))
        this.#addImport({ name, path: isPath ? failed : undefined, error: '', traceback: [] });
    }
  }

  #addImport(failed: FailedImport): void {
    if (this.#failedImports.size < KEPT_IMPORTS) this.#failedImports.set(failed.name, failed);
  }
}

/** A line without colours and level. */
export function plainLine(raw: string): string {
  return raw.replace(COLOURS, '').replace(LEVEL, '').trimEnd();
}

/** The last line of a traceback has the class of the error before its text. */
function errorLine(traceback: readonly string[]): string | undefined {
  return traceback.findLast((line) => /^\w[\w.]*(?:Error|Exception)\b/.test(line));
}

/** A phase ends with the first line that matches. */
const PHASES = [
  { name: 'python', end: /^Python version: / },
  { name: 'nodes', end: /^Import times for custom nodes:/ },
  { name: 'server', end: /^(?:Starting server|To see the GUI go to: )/ },
];
const COLOURS = /\x1b\[[\d;]*m/g;
const LEVEL = /^\[(?:DEBUG|INFO|WARNING|ERROR|CRITICAL)\] ?/;
const KEPT_LINES = 500;
const QUOTED_LINES = 20;
const KEPT_BYTES = 100_000;
const KEPT_IMPORTS = 100;
const LINE_LENGTH = 4000;
const TRACEBACK_LINES = 200;
