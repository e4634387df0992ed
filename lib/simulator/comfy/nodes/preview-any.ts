import { classNode } from './define-node.ts';
import { anything } from './inputs.ts';

export const previewAny = classNode({
  name: 'PreviewAny',
  title: 'Preview as Text',
  module: 'comfy_extras.nodes_preview_any',
  category: 'utils',
  inputs: { source: anything({}) },
  shows: true,
  run: ({ source }) => ({ ui: { text: [describe(source)] } }),
});

/** Text and numbers as they are; of pictures and other bulk only the outline. */
function describe(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value);
  return JSON.stringify(
    value,
    (_, member: unknown) => {
      if (member instanceof Uint8Array) return `${member.length} bytes`;
      return typeof member === 'bigint' ? String(member) : member;
    },
    4,
  );
}
