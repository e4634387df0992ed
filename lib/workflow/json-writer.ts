/** A JSON object of members that are JSON text already, in the given order. */
export function objectText(members: Iterable<readonly [string, string]>): string {
  return `{${[...members].map(([name, text]) => `${JSON.stringify(name)}:${text}`).join(',')}}`;
}

export function arrayText(items: readonly string[]): string {
  return `[${items.join(',')}]`;
}
