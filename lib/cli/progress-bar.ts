import { z } from 'zod';

/** What the worker tells about a running job. */
const StepSchema = z.object({
  percent: z.number(),
  nodeTitle: z.string(),
  step: z.number().optional(),
  steps: z.number().optional(),
});
export type Step = z.infer<typeof StepSchema>;

/** Progress as it came; undefined when it is that of another worker, which may tell anything. */
export function maybeStep(progress: unknown): Step | undefined {
  return StepSchema.safeParse(progress).data;
}

/** One line that is drawn over on a terminal; a line for each node where output goes into a file. */
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

  /** Leaves the line as it is; whatever comes next stands below it. */
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
