/** Summary of a series of measurements, in the unit of the series. */
export interface Summary {
  readonly count: number;
  readonly median: number;
  readonly p95: number;
  readonly min: number;
  readonly max: number;
}

/** Undefined for an empty series. */
export function summarize(values: readonly number[]): Summary | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const [min] = sorted;
  if (min === undefined) return undefined;
  return {
    count: sorted.length,
    median: quantile(sorted, 0.5),
    p95: quantile(sorted, 0.95),
    min,
    max: quantile(sorted, 1),
  };
}

/** A quantile by linear interpolation. `sorted` is ascending and not empty. */
function quantile(sorted: readonly number[], share: number): number {
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)] ?? NaN;
  const above = sorted[Math.ceil(at)] ?? NaN;
  return below + (above - below) * (at - Math.floor(at));
}
