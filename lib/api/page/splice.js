/**
 * @typedef {object} Edit
 * @property {number} start first character to be replaced
 * @property {number} end the character after the last one; equal to `start` when something is put in
 * @property {string} text
 */

/**
 * Applies edits that do not overlap, in any order; every character outside of them stays.
 *
 * @param {string} source
 * @param {readonly Edit[]} edits
 */
export function splice(source, edits) {
  const parts = [];
  let at = 0;
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start)) {
    parts.push(source.slice(at, start), text);
    at = end;
  }
  return parts.join('') + source.slice(at);
}
