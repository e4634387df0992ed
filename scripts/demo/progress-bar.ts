/** What the worker tells about a running job. */
export interface Step {
  readonly percent: number;
  readonly nodeTitle: string;
  readonly step?: number;
  readonly steps?: number;
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

  [Symbol.dispose](): void {
    if (this.#out.isTTY && this.#lastTitle) this.#out.write('\n');
  }

  #bar(step: Step): string {
    const filled = Math.round((step.percent / 100) * WIDTH);
    const bar = '█'.repeat(filled) + '░'.repeat(WIDTH - filled);
    return `${bar} ${label(step)}`.slice(0, this.#out.columns - 1);
  }
}

const WIDTH = 28;

function label({ percent, nodeTitle, step, steps }: Step): string {
  const count = steps !== undefined && steps > 1 ? `  ${step ?? 0}/${steps}` : '';
  return `${String(percent).padStart(3)} %  ${nodeTitle}${count}`;
}
