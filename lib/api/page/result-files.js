/**
 * @typedef {object} ResultFile A file a job made.
 * @property {string} name
 * @property {'image' | 'video' | 'audio' | 'other'} kind
 * @property {string | undefined} blob a URL of this page, when the bytes came along
 * @property {string} place where the bytes are otherwise: a link, or a path
 * @property {number} bytes of the blob
 */

/**
 * Every `{filename, data}` in an output, whatever list it is in.
 *
 * @param {unknown} output
 * @returns {ResultFile[]}
 */
export function toFiles(output) {
  if (typeof output !== 'object' || output === null) return [];
  if (isFile(output)) return [toFile(output)];
  return Object.values(output).flatMap(toFiles);
}

/** Gives the memory of a job's files back. @param {readonly ResultFile[]} files */
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
  const kind = kindOf(mediaType);
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
function kindOf(mediaType) {
  if (mediaType.startsWith('image/')) return 'image';
  if (mediaType.startsWith('video/')) return 'video';
  return mediaType.startsWith('audio/') ? 'audio' : 'other';
}

/** Nothing a browser would run when it is opened: no SVG, no HTML. */
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
