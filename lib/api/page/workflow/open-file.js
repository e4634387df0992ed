import { byId } from '../dom.js';
import { toRequest, Unusable } from './request.js';

/**
 * Listens for workflows that are chosen, dropped anywhere on the page, or pasted anywhere.
 *
 * @param {object} options
 * @param {(file: File) => void} options.onFile
 * @param {(text: string) => void} options.onText
 * @param {(picture: File) => boolean} options.onPicture a pasted image; returns false when no field took it
 */
export function listenForFiles({ onFile, onText, onPicture }) {
  const chooser = byId('file', HTMLInputElement);
  chooser.addEventListener('change', () => {
    for (const file of chooser.files ?? []) onFile(file);
    chooser.value = '';
  });
  for (const button of document.querySelectorAll('[data-opens]'))
    button.addEventListener('click', () => chooser.click());
  listenForDrops(onFile);
  preparePasteButton(onText);
  document.addEventListener('paste', (event) => {
    const [file] = event.clipboardData?.files ?? [];
    const text = event.clipboardData?.getData('text/plain') ?? '';
    if (file) {
      if (!(file.type.startsWith('image/') && onPicture(file))) onFile(file);
    } else if (text !== '' && !isTyping(event.target)) onText(text);
  });
}

/** @param {(file: File) => void} onFile */
function listenForDrops(onFile) {
  const mark = (/** @type {boolean} */ isOver) => document.body.classList.toggle('over', isOver);
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    mark(event.dataTransfer?.types.includes('Files') ?? false);
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer?.files ?? [];
    if (file) onFile(file);
  });
}

/** For phones, which have no paste key. On insecure connections there is no clipboard, and the button stays hidden. @param {(text: string) => void} onText */
function preparePasteButton(onText) {
  const button = byId('paste', HTMLButtonElement);
  button.hidden = !('clipboard' in navigator);
  const paste = () => navigator.clipboard.readText().then(onText, () => (button.hidden = true));
  button.addEventListener('click', () => void paste());
}

/** @param {EventTarget | null} target */
function isTyping(target) {
  return target instanceof HTMLElement && target.matches('input, textarea');
}

/**
 * Reads a dropped or chosen file: JSON, or a PNG saved by ComfyUI.
 *
 * @param {File} file
 * @throws {Unusable}
 */
export async function openFile(file) {
  if (file.size > MAX_BYTES) throw tooLarge(file);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (isPng(bytes)) return toRequest(workflowOfPng(bytes));
  if (file.type.startsWith('image/')) throw onlyPng();
  return toRequest(new TextDecoder().decode(bytes));
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function workflowOfPng(bytes) {
  const texts = pngTexts(bytes);
  const text = texts.get('prompt') ?? texts.get('workflow');
  if (text) return text;
  throw new Unusable(
    'This picture carries no workflow',
    'ComfyUI writes the workflow into the PNGs it saves, but many programs remove it on the way. To use it as an input picture, drop it on a “Load Image” node.',
  );
}

const onlyPng = () =>
  new Unusable(
    'Only PNGs carry a workflow',
    'Drop the workflow’s JSON file, or a PNG saved by ComfyUI. To use this as an input picture, drop it on a “Load Image” node.',
  );

/** @param {File} file */
const tooLarge = (file) =>
  new Unusable(
    'This file is too large',
    `${file.name} has ${Math.round(file.size / 1e6)} MB; a job may have 20 MB at most.`,
  );

/**
 * The text chunks of a PNG. ComfyUI writes the workflow in API format as `prompt`, and the editor's format as `workflow`.
 *
 * @param {Uint8Array<ArrayBuffer>} bytes
 * @returns {ReadonlyMap<string, string>}
 */
export function pngTexts(bytes) {
  return new Map(
    [...chunks(bytes)].flatMap(({ type, data }) => {
      if (type === 'tEXt') return [latin1Text(data)];
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
function latin1Text(data) {
  const end = data.indexOf(0);
  return [latin1.decode(data.subarray(0, end)), latin1.decode(data.subarray(end + 1))];
}

/**
 * Keyword, two bytes about compression, language, translated keyword, text. Compressed texts are skipped.
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

const MAX_BYTES = 64e6;
const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Length, type and checksum around the data of a chunk. */
const CHUNK_FRAME = 12;
const latin1 = new TextDecoder('latin1');
