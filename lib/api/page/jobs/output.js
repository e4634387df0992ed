/**
 * Reads the `output` of a job. Its shape is not guaranteed: the API may belong to another worker.
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

/** The preview image, as a data URI. @param {unknown} output */
export function previewOf(output) {
  const preview = maybe('string', membersOf(output).preview);
  return preview?.startsWith('data:image/') ? preview : undefined;
}

/** Problems of a job that still has a result. @param {unknown} output */
export function warningsOf(output) {
  const { errors, details } = membersOf(output);
  return [errors, details]
    .flatMap((list) => (Array.isArray(list) ? list : []))
    .filter((text) => typeof text === 'string');
}

/** Texts shown by nodes. @param {unknown} output @returns {string[]} */
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

/**
 * @typedef {object} ResultFile A file in the result of a job.
 * @property {string} name
 * @property {'image' | 'video' | 'audio' | 'other'} kind
 * @property {string | undefined} blob object URL, when the result contains the bytes
 * @property {string} place otherwise a link or a path
 * @property {number} bytes of the blob
 */

/**
 * Every `{filename, type, data}` in an output, in any list.
 *
 * @param {unknown} output
 * @returns {ResultFile[]}
 */
export function toFiles(output) {
  if (typeof output !== 'object' || output === null) return [];
  if (isFile(output)) return [toFile(output)];
  return Object.values(output).flatMap(toFiles);
}

/** Frees the memory of a job's files. @param {readonly ResultFile[]} files */
export function forgetFiles(files) {
  for (const { blob } of files) if (blob !== undefined) URL.revokeObjectURL(blob);
}

/**
 * @param {object} value
 * @returns {value is { filename: string, type: string, data: string }}
 */
function isFile(value) {
  if (!('filename' in value && 'type' in value && 'data' in value)) return false;
  return [value.filename, value.type, value.data].every((member) => typeof member === 'string');
}

/**
 * @param {{ filename: string, type: string, data: string }} file
 * @returns {ResultFile}
 */
function toFile({ filename, type, data }) {
  const name = filename.replace(/^.*[\\/]/, '');
  const mediaType = mediaTypeOf(name);
  const kind = fileKindOf(mediaType);
  if (type !== 'base64') return { name, kind, blob: undefined, place: data, bytes: 0 };
  const bytes = decode(withoutHead(data));
  const blob = URL.createObjectURL(new Blob([bytes], { type: mediaType }));
  return { name, kind, blob, place: '', bytes: bytes.length };
}

/** @param {string} data */
const withoutHead = (data) => (data.startsWith('data:') ? data.slice(data.indexOf(',') + 1) : data);

/** @param {string} base64 */
function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

/** @param {string} name */
function mediaTypeOf(name) {
  const [, ending = ''] = /\.(\w+)$/.exec(name.toLowerCase()) ?? [];
  return MEDIA_TYPES.get(ending) ?? 'application/octet-stream';
}

/**
 * @param {string} mediaType
 * @returns {ResultFile['kind']}
 */
function fileKindOf(mediaType) {
  if (mediaType.startsWith('image/')) return 'image';
  if (mediaType.startsWith('video/')) return 'video';
  return mediaType.startsWith('audio/') ? 'audio' : 'other';
}

/** No type that a browser would execute when it is opened: no SVG, no HTML. */
const MEDIA_TYPES = new Map([
  ['png', 'image/png'],
  ['jpg', 'image/jpeg'],
  ['jpeg', 'image/jpeg'],
  ['webp', 'image/webp'],
  ['gif', 'image/gif'],
  ['avif', 'image/avif'],
  ['mp4', 'video/mp4'],
  ['webm', 'video/webm'],
  ['mov', 'video/quicktime'],
  ['mp3', 'audio/mpeg'],
  ['flac', 'audio/flac'],
  ['wav', 'audio/wav'],
  ['ogg', 'audio/ogg'],
  ['opus', 'audio/ogg'],
  ['txt', 'text/plain'],
  ['json', 'application/json'],
]);
