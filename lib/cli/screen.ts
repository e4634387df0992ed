import { ProgressBar, type Step } from './progress-bar.ts';

export interface ScreenOptions {
  /** Only problems are told. */
  readonly quiet?: boolean | undefined;
}

/** Where a command writes: data for programs to stdout, everything for people to stderr. */
export class Screen implements Disposable {
  readonly #quiet: boolean;
  readonly #bar = new ProgressBar(process.stderr);

  constructor({ quiet = false }: ScreenOptions) {
    this.#quiet = quiet;
  }

  data(text: string): void {
    process.stdout.write(`${text}\n`);
  }

  note(text: string): void {
    if (!this.#quiet) this.problem(text);
  }

  /** Told even when quiet. */
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
