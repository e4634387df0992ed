/**
 * What an API of any worker may say in `output`, read with care.
 *
 * @typedef {object} Progress
 * @property {number} percent
 * @property {string | undefined} node
 * @property {string | undefined} nodeTitle
 * @property {number | undefined} step
 * @property {number | undefined} steps
 */

/**
 * @param {unknown} output
 * @returns {Progress | undefined}
 */
export function progressOf(output) {
  const told = membersOf(output);
  if (typeof told.percent !== 'number') return undefined;
  return {
    percent: told.percent,
    node: maybe('string', told.node),
    nodeTitle: maybe('string', told.nodeTitle),
    step: maybe('number', told.step),
    steps: maybe('number', told.steps),
  };
}

/** The picture so far, as a data URI. @param {unknown} output */
export function previewOf(output) {
  const preview = maybe('string', membersOf(output).preview);
  return preview?.startsWith('data:image/') ? preview : undefined;
}

/** What went wrong beside the result. @param {unknown} output */
export function warningsOf(output) {
  const { errors, details } = membersOf(output);
  return [errors, details]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .filter((text) => typeof text === 'string');
}

/** What nodes have shown as text. @param {unknown} output @returns {string[]} */
export function textsOf(output) {
  const { texts } = membersOf(output);
  return (Array.isArray(texts) ? texts : []).flatMap(
    (told) => maybe('string', membersOf(told).text) ?? [],
  );
}

/**
 * @param {unknown} value
 * @returns {Readonly<Record<string, unknown>>}
 */
const membersOf = (value) => (typeof value === 'object' && value !== null ? { ...value } : {});

/**
 * @template {'string' | 'number'} T
 * @param {T} type
 * @param {unknown} value
 * @returns {(T extends 'string' ? string : number) | undefined}
 */
function maybe(type, value) {
  return typeof value === type
    ? /** @type {T extends 'string' ? string : number} */ (value)
    : undefined;
}
