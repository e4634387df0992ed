/**
 * The images that travel with a job, in `input.images`.
 *
 * @import { Picture } from './draft.js'
 * @import { JsonText } from './json-text.js'
 * @import { Edit } from './splice.js'
 *
 * @param {JsonText} input
 * @param {JsonText} workflow
 */
export function inputImages(input, workflow) {
  const list = input.get('images');
  const items = (list?.items() ?? []).map((json) => ({ json, name: json.get('name')?.plain }));

  return {
    /**
     * A data URI of the image with this name, if the job brought one.
     *
     * @param {string} name
     */
    find(name) {
      const image = items.findLast((item) => item.name === name)?.json.get('image');
      return image?.kind === 'string' ? toDataUri(image.plain, name) : undefined;
    },

    /**
     * What changes in the text when images were picked. Stale ones stay behind.
     *
     * @param {readonly Picture[]} picked
     * @param {(name: string) => boolean} isStale
     * @returns {Edit | undefined}
     */
    edit(picked, isStale) {
      if (picked.length === 0) return undefined;
      const replaced = new Set(picked.map(({ name }) => name));
      const kept = items.filter(
        ({ name }) => name === undefined || !(isStale(name) || replaced.has(name)),
      );
      const added = picked.map(({ name, dataUri }) => JSON.stringify({ name, image: dataUri }));
      const text = `[${[...kept.map(({ json }) => json.text), ...added].join(',')}]`;
      if (list) return { start: list.start, end: list.end, text };
      return { start: workflow.end, end: workflow.end, text: `,"images":${text}` };
    },
  };
}

/**
 * @param {string} image base64, bare or a data URI already
 * @param {string} name
 */
function toDataUri(image, name) {
  if (image.startsWith('data:')) return image;
  const [, ending = 'png'] = /\.(\w+)$/.exec(name) ?? [];
  return `data:image/${ending.toLowerCase().replace('jpg', 'jpeg')};base64,${image}`;
}
