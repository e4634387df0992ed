/** Writes bits into bytes, most significant bit first, with the Exp-Golomb codes of H.264. */
export class BitWriter {
  readonly #bytes: number[] = [];
  #free = 0;

  /** The lowest `count` bits of `value`. */
  bits(value: number, count: number): this {
    for (let at = count - 1; at >= 0; at--) this.#bit(Math.floor(value / 2 ** at) % 2);
    return this;
  }

  /** Unsigned Exp-Golomb: `value + 1` in binary, preceded by one zero less than it has bits. */
  golomb(...values: readonly number[]): this {
    for (const value of values) {
      const length = Math.floor(Math.log2(value + 1));
      this.bits(0, length).bits(value + 1, length + 1);
    }
    return this;
  }

  /** Pads the last byte with zeros. */
  align(): this {
    this.#free = 0;
    return this;
  }

  /** A one bit, then zeros up to the end of the byte. */
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
