import { z } from 'zod';

/** The output of a command: data for programs goes to stdout, texts for people to stderr. */
export class Screen implements Disposable {
  readonly #quiet: boolean;
  readonly #bar = new ProgressBar(process.stderr);

  /** @param options `quiet` prints problems only */
  constructor({ quiet = false }: { readonly quiet?: boolean | undefined }) {
    this.#quiet = quiet;
  }

  data(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  note(text: string): void {
    if (!this.#quiet) this.problem(text);
  }

  /** Printed even when quiet. */
  problem(text: string): void {
    this.#bar.end();
    process.stderr.write(`${text}\n`);
  }

  progress(step: Step): void {
    if (!this.#quiet) this.#bar.show(step);
  }

  [Symbol.dispose](): void {
    this.#bar.end();
  }
}

/** Progress as the worker reports it. */
const StepSchema = z.object({
  percent: z.number(),
  nodeTitle: z.string(),
  step: z.number().optional(),
  steps: z.number().optional(),
});
export type Step = z.infer<typeof StepSchema>;

/** Reads progress; undefined when it has another shape, because other workers may report anything. */
export function maybeStep(progress: unknown): Step | undefined {
  return StepSchema.safeParse(progress).data;
}

/** On a terminal one line that is redrawn; in a file one line for each node. */
export class ProgressBar implements Disposable {
  readonly #out: NodeJS.WriteStream;
  #lastTitle = '';

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  show(step: Step): void {
    if (this.#out.isTTY) this.#out.write(`\r\u001b[K  ${this.#bar(step)}`);
    else if (step.nodeTitle !== this.#lastTitle) this.#out.write(`  ${label(step)}\n`);
    this.#lastTitle = step.nodeTitle;
  }

  /** Leaves the line, so that later output starts below it. */
  end(): void {
    if (this.#out.isTTY && this.#lastTitle) this.#out.write('\n');
    if (this.#out.isTTY) this.#lastTitle = '';
  }

  [Symbol.dispose](): void {
    this.end();
  }

  #bar(step: Step): string {
    const share = Math.min(100, Math.max(0, step.percent)) / 100;
    const filled = Math.round(share * WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
    return `${bar} ${label(step)}`.slice(0, this.#out.columns - 1);
  }
}

const WIDTH = 28;

function label({ percent, nodeTitle, step, steps }: Step): string {
  const count = steps !== undefined && steps > 1 ? `  ${step ?? 0}/${steps}` : '';
  return `${String(percent).padStart(3)} %  ${nodeTitle}${count}`;
}

/** The result as indented JSON, with long texts replaced by their sizes. */
export function shapeOf(text: string): string {
  return JSON.stringify(JSON.parse(text, shorten), undefined, 2);
}

export function describePhases(timings: Readonly<Record<string, number>>): string {
  return Object.entries(timings)
    .map(([phase, ms]) => `${phase} ${ms.toFixed(ms < 10 ? 1 : 0)} ms`)
    .join('  ·  ');
}

export function kilobytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

function shorten(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || value.length < 200) return value;
  return `${value.slice(0, 16)}... (${kilobytes(value.length)})`;
}
