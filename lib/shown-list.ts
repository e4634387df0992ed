/** Lines that an error or an answer lists at most. Nobody reads more, and a hundred thousand of them fill a result. */
export const MAX_LINES = 50;

/** The first lines, and how many there are beside them. */
export function shownLines(lines: readonly string[], total = lines.length): string[] {
  const shown = lines.slice(0, MAX_LINES);
  return total > shown.length ? [...shown, `... and ${total - shown.length} more`] : shown;
}
