/** Bytes of a file. `end` is the first byte that is not in it. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** The bytes of a file that are here: ranges in ascending order that neither overlap nor touch. */
export class RangeSet {
  #ranges: ByteRange[] = [];

  add({ start, end }: ByteRange): void {
    if (end <= start) return;
    const apart = this.#ranges.filter((range) => range.end < start || range.start > end);
    const touching = this.#ranges.filter((range) => range.end >= start && range.start <= end);
    const merged = {
      start: Math.min(start, ...touching.map((range) => range.start)),
      end: Math.max(end, ...touching.map((range) => range.end)),
    };
    this.#ranges = [...apart, merged].sort((a, b) => a.start - b.start);
  }

  /** Bytes in all ranges. */
  get bytes(): number {
    return this.#ranges.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Bytes from the beginning of the file to the first gap. */
  get prefix(): number {
    const [first] = this.#ranges;
    return first?.start === 0 ? first.end : 0;
  }

  /** The ranges of a file of `total` bytes that are missing, in ascending order. */
  gaps(total: number): ByteRange[] {
    const starts = [0, ...this.#ranges.map(({ end }) => end)];
    const ends = [...this.#ranges.map(({ start }) => start), total];
    return starts.flatMap((start, at) => {
      const end = Math.min(ends[at] ?? total, total);
      return start < end ? [{ start, end }] : [];
    });
  }
}
