/** The result with its long texts replaced by their sizes: what a client sees, on one screen. */
export function shapeOf(text: string): string {
  return JSON.stringify(JSON.parse(text, shorten), undefined, 2);
}

export function describePhases(timings: Readonly<Record<string, number>>): string {
  return Object.entries(timings)
    .map(([phase, ms]) => `${phase} ${ms.toFixed(ms < 10 ? 1 : 0)} ms`)
    .join('  ·  ');
}

export function kilobytes(bytes: number): string {
  return `${Math.max(1, Math.round(bytes / 1000))} kB`;
}

function shorten(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || value.length < 200) return value;
  return `${value.slice(0, 16)}... (${kilobytes(value.length)})`;
}
