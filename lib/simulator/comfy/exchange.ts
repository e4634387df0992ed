import type { ComfyProcess } from './process.ts';

/** One request as the routes see it. */
export interface Exchange {
  readonly comfy: ComfyProcess;
  readonly query: URLSearchParams;
  /** What stands at `:id` in the path. */
  readonly id: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The request's body, whole or as it comes; only once. */
  readonly body: () => Promise<Buffer>;
  readonly stream: () => AsyncIterable<Buffer>;
}
