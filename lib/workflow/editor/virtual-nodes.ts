/**
 * Virtual nodes: node types that exist only in the editor, so ComfyUI never sees them. The editor's own, and those of the
 * widespread packs KJNodes, Easy-Use, Crystools and rgthree, sorted by what becomes of a link to them.
 */

/** The output passes on what the input at the same position gets. */
export const PASSES_ON: ReadonlySet<string> = new Set([
  'Reroute',
  'Reroute (rgthree)',
  'SetNode',
  'easy setNode',
]);

/** The output gives the value of the node's first widget to the widgets it is linked to. */
export const GIVES_VALUE: ReadonlySet<string> = new Set(['PrimitiveNode']);

/** The output gives what the writer of the same name gets. There is no link between reader and writer. */
export const READS_NAME: ReadonlySet<string> = new Set(['GetNode', 'easy getNode']);
export const WRITES_NAME: ReadonlySet<string> = new Set(['SetNode', 'easy setNode']);

/** Remarks, and switches for people. They have no output. */
const GIVES_NOTHING: ReadonlySet<string> = new Set([
  'Note',
  'MarkdownNote',
  'Show Metadata [Crystools]',
  'easy bookmark',
  'Label (rgthree)',
  'Bookmark (rgthree)',
  'Fast Actions Button (rgthree)',
  'Fast Bypasser (rgthree)',
  'Fast Groups Bypasser (rgthree)',
  'Fast Groups Muter (rgthree)',
  'Fast Muter (rgthree)',
  'Mute / Bypass Relay (rgthree)',
  'Mute / Bypass Repeater (rgthree)',
  'Node Collector (rgthree)',
  'Node Combiner (rgthree)',
  'Random Unmuter (rgthree)',
]);

/**
 * Nodes of cg-use-everywhere. ComfyUI runs them as nodes that do nothing; their work is the links in the file. If the pack is
 * not installed, these links are enough.
 */
export const BROADCASTS: ReadonlySet<string> = new Set([
  'Anything Everywhere',
  'Anything Everywhere3',
  'Anything Everywhere?',
  'Prompts Everywhere',
]);

export function isVirtual(type: string): boolean {
  return [PASSES_ON, GIVES_VALUE, READS_NAME, WRITES_NAME, GIVES_NOTHING].some((types) =>
    types.has(type),
  );
}
