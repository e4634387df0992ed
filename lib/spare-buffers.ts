/**
 * Large buffers that are used again. V8 runs a full garbage collection for every few dozen megabytes of new buffers; with
 * large input files this was a third of a job's CPU time. Spare buffers are held weakly: an idle worker may lose them.
 */
export class SpareBuffers {
  #spare: WeakRef<ArrayBuffer>[] = [];

  /** A buffer of this length with any content. */
  take(bytes: number): Buffer<ArrayBuffer> {
    if (bytes < LARGE_BYTES) return Buffer.allocUnsafe(bytes);
    for (const reference of this.#spare) {
      const spare = reference.deref();
      if (spare && spare.byteLength >= bytes && spare.byteLength <= bytes * MOST_WASTE) {
        this.#spare = this.#spare.filter((other) => other !== reference);
        return Buffer.from(spare, 0, bytes);
      }
    }
    const step = 2 ** Math.floor(Math.log2(bytes)) / STEPS; // so that a slightly larger one fits next time
    return Buffer.from(Buffer.allocUnsafeSlow(Math.ceil(bytes / step) * step).buffer, 0, bytes);
  }

  /** To be called once, by the owner of a taken buffer, when nothing reads or writes it any more. */
  giveBack({ buffer }: Buffer<ArrayBuffer>): void {
    if (buffer.byteLength < LARGE_BYTES) return; // it may share its memory with others
    this.#spare = [...this.#spare.filter((other) => other.deref()), new WeakRef(buffer)];
    if (this.#spare.length > MOST_SPARE) this.#spare.shift();
  }
}

const LARGE_BYTES = 256 * 1024;
const MOST_WASTE = 2;
const STEPS = 4;
const MOST_SPARE = 32;
