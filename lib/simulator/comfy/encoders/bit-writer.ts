/** Bits into bytes, the highest first, with the variable-length codes of H.264. */
export class BitWriter {
  readonly #bytes: number[] = [];
  #free = 0;

  /** The lowest `count` bits of `value`. */
  bits(value: number, count: number): this {
    for (let at = count - 1; at >= 0; at--) this.#bit(Math.floor(value / 2 ** at) % 2);
    return this;
  }

  /** Exp-Golomb: as many zeros as the number has bits behind its first one, then the number. */
  golomb(...values: readonly number[]): this {
    for (const value of values) {
      const length = Math.floor(Math.log2(value + 1));
      this.bits(0, length).bits(value + 1, length + 1);
    }
    return this;
  }

  /** Fills the last byte with zeros. */
  align(): this {
    this.#free = 0;
    return this;
  }

  /** A one, and zeros up to the end of the byte. */
  stop(): this {
    return this.bits(1, 1).align();
  }

  toBytes(): Buffer {
    return Buffer.from(this.#bytes);
  }

  #bit(bit: number): void {
    if (this.#free === 0) {
      this.#bytes.push(0);
      this.#free = 8;
    }
    this.#free--;
    const last = this.#bytes.length - 1;
    this.#bytes[last] = (this.#bytes[last] ?? 0) | (bit << this.#free);
  }
}
