import type { Config } from '../../config.ts';
import type { Storage } from '../../storage/storage.ts';

/** A result of a check. Warnings and broken things come with advice. */
export interface Finding {
  readonly subject: string;
  readonly state: 'ok' | 'warning' | 'broken' | 'skipped';
  readonly message: string;
  readonly advice?: string;
}

/** What a kind of ComfyUI can do for its jobs. */
export interface BackendAbilities {
  /** Its folders can be on a disk that the worker sees. */
  readonly sharedDisk: boolean;
  /** Its cache can be cleared. */
  readonly freeMemory: boolean;
  /** It reports progress per node. */
  readonly nodeProgress: boolean;
}

/** Jobs that are refused because they killed ComfyUI. */
export interface DeadlyJobList {
  list(): Promise<readonly { readonly jobId: string; readonly killedAt: number }[]>;
  clear(): Promise<void>;
}

/** The things that checks examine. */
export interface Surroundings {
  /** Read from the variables that are valid. */
  readonly config: Config;
  readonly nodeVersion: string;
  /** Where RunPod mounts a network volume. */
  readonly volume: string;
  readonly backend: BackendAbilities;
  readonly deadlyJobs: DeadlyJobList;
  /** Bytes of memory that ComfyUI's processes hold; undefined when it is not known. */
  readonly comfyMemory: () => Promise<number | undefined>;
  readonly openWorkerBucket: () => Promise<Storage | undefined>;
}

/** Examines one subject. An error that it throws counts as a finding: the subject is broken. */
export interface Check {
  readonly subject: string;
  readonly look: (around: Surroundings, signal: AbortSignal) => Promise<readonly Finding[]>;
}

/** Collects the findings of one subject. */
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
