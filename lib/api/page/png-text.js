/**
 * The texts a PNG carries. ComfyUI writes the workflow in API format as `prompt`, and the editor's own as `workflow`.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {ReadonlyMap<string, string>}
 */
export function pngTexts(bytes) {
  return new Map(
    [...chunks(bytes)].flatMap(({ type, data }) => {
      if (type === 'tEXt') return [plainText(data)];
      return type === 'iTXt' ? [internationalText(data)] : [];
    }),
  );
}

/** @param {Uint8Array} bytes */
export function isPng(bytes) {
  return SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function* chunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = SIGNATURE.length;
  while (at + CHUNK_FRAME <= bytes.length) {
    const length = view.getUint32(at);
    const type = latin1.decode(bytes.subarray(at + 4, at + 8));
    yield { type, data: bytes.subarray(at + 8, at + 8 + length) };
    at += CHUNK_FRAME + length;
  }
}

/**
 * @param {Uint8Array} data
 * @returns {[string, string]}
 */
function plainText(data) {
  const end = data.indexOf(0);
  return [latin1.decode(data.subarray(0, end)), latin1.decode(data.subarray(end + 1))];
}

/**
 * Keyword, two bytes about compression, language, translated keyword, text. A compressed text is left out.
 *
 * @param {Uint8Array} data
 * @returns {[string, string]}
 */
function internationalText(data) {
  const keyEnd = data.indexOf(0);
  const key = latin1.decode(data.subarray(0, keyEnd));
  if (data[keyEnd + 1] !== 0) return [key, ''];
  const languageEnd = data.indexOf(0, keyEnd + 3);
  const translationEnd = data.indexOf(0, languageEnd + 1);
  return [key, new TextDecoder().decode(data.subarray(translationEnd + 1))];
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Length, type and checksum around the data of a chunk. */
const CHUNK_FRAME = 12;
const latin1 = new TextDecoder('latin1');
