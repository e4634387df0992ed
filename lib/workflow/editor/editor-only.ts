/**
 * Nodes that exist in the editor alone and that ComfyUI never sees: its own, and those of the widespread KJNodes, Easy-Use
 * and rgthree. Sorted by what becomes of a link to them.
 */

/** Gives on what its input at the same place gets. */
export const PASSES_ON: ReadonlySet<string> = new Set([
  'Reroute',
  'Reroute (rgthree)',
  'SetNode',
  'easy setNode',
]);

/** Gives the value of its first widget to the widgets it is linked to. */
export const GIVES_VALUE: ReadonlySet<string> = new Set(['PrimitiveNode']);

/** Gives what the writer of the same name gets, without a link between them. */
export const READS_NAME: ReadonlySet<string> = new Set(['GetNode', 'easy getNode']);
export const WRITES_NAME: ReadonlySet<string> = new Set(['SetNode', 'easy setNode']);

/** Remarks, and switches for people: nothing comes out of them. */
const GIVES_NOTHING: ReadonlySet<string> = new Set([
  'Note',
  'MarkdownNote',
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

const EDITOR_ONLY = [PASSES_ON, GIVES_VALUE, READS_NAME, WRITES_NAME, GIVES_NOTHING];

/** Whether a node of this type exists in the editor alone. */
export function isEditorOnly(type: string): boolean {
  return EDITOR_ONLY.some((types) => types.has(type));
}
