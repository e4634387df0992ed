/** An output that stops every node it reaches, without failing the prompt (ComfyUI's `ExecutionBlocker`). */
export interface Blocker {
  readonly blocked: true;
  /** Told to the client as an `execution_error` of type `ExecutionBlocked`; without one, nobody hears of it. */
  readonly message?: string;
}

export function isBlocker(value: unknown): value is Blocker {
  return (
    typeof value === 'object' && value !== null && 'blocked' in value && value.blocked === true
  );
}
