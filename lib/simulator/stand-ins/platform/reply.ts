import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** The answer to one request; it can be given once, and only while somebody still listens. */
export class Reply {
  readonly #response: ServerResponse;
  readonly #whenAnswered: (status: number) => void;
  #lost = false;

  constructor(response: ServerResponse, whenAnswered: (status: number) => void) {
    this.#response = response;
    this.#whenAnswered = whenAnswered;
  }

  /** False once the other side has gone, or an answer was given. */
  get open(): boolean {
    return !this.#response.destroyed && !this.#response.writableEnded;
  }

  /** From now on an answer is thrown away, and the connection with it. */
  lose(): void {
    this.#lost = true;
  }

  /** Answers JSON text. False when nobody listens any more. */
  json(text: string, status = 200): boolean {
    return this.text(text, status, { 'content-type': 'application/json' });
  }

  text(text: string, status: number, headers: OutgoingHttpHeaders = {}): boolean {
    if (!this.open) return false;
    if (this.#lost) {
      this.reset();
      return false;
    }
    const body = status === 204 ? '' : text;
    this.#response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
    this.#response.end(body);
    this.#whenAnswered(status);
    return true;
  }

  nothing(): boolean {
    return this.text('', 204);
  }

  reset(): void {
    this.#response.socket?.resetAndDestroy();
  }

  /** Calls back when the connection ended: `delivered` tells whether the whole answer went out before. */
  onClose(listener: (delivered: boolean) => void): void {
    this.#response.once('close', () => listener(this.#response.writableFinished));
  }
}
