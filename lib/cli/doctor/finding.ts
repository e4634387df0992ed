import type { Config } from '../../config.ts';
import type { Storage } from '../../storage/storage.ts';

/** What a check found. Everything that is not as it should be comes with what to do about it. */
export interface Finding {
  readonly subject: string;
  readonly state: 'ok' | 'warning' | 'broken' | 'skipped';
  readonly message: string;
  readonly advice?: string;
}

/** What checks look at. */
export interface Surroundings {
  /** Of those variables that can be read. */
  readonly config: Config;
  readonly nodeVersion: string;
  /** Where RunPod mounts a network volume. */
  readonly volume: string;
  readonly openStorage: () => Promise<Storage | undefined>;
}

/** Looks at one thing. What it throws is a finding as well: that thing is broken. */
export interface Check {
  readonly subject: string;
  readonly look: (around: Surroundings, signal: AbortSignal) => Promise<readonly Finding[]>;
}

/** Findings of one subject, in a word each. */
export class Findings {
  readonly all: Finding[] = [];
  readonly #subject: string;

  constructor(subject: string) {
    this.#subject = subject;
  }

  ok(message: string): this {
    return this.#add({ state: 'ok', message });
  }

  skipped(message: string): this {
    return this.#add({ state: 'skipped', message });
  }

  warning(message: string, advice: string): this {
    return this.#add({ state: 'warning', message, advice });
  }

  broken(message: string, advice: string): this {
    return this.#add({ state: 'broken', message, advice });
  }

  #add(finding: Omit<Finding, 'subject'>): this {
    this.all.push({ subject: this.#subject, ...finding });
    return this;
  }
}
