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
 * Reads a dropped or chosen file. JSON is read here; the worker finds the workflow in pictures, videos and sounds.
 *
 * @param {File} file
 * @param {(file: BodyInit) => Promise<string>} convert see `Api.convert`
 * @throws {Unusable}
 */
export async function openFile(file, convert) {
  if (file.size > MAX_BYTES) throw tooLarge(file);
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (mayBeJson(bytes)) return toRequest(new TextDecoder().decode(bytes), convert);
  return toRequest(await convert(bytes), convert);
}

/** A text, and no markup. @param {Uint8Array} bytes */
function mayBeJson(bytes) {
  const head = bytes.subarray(0, 4096);
  const isText = !head.includes(0);
  return isText && !new TextDecoder().decode(head).trimStart().startsWith('<');
}

/** @param {File} file */
const tooLarge = (file) =>
  new Unusable(
    'This file is too large',
    `${file.name} has ${Math.round(file.size / 1e6)} MB; the page opens 64 MB at most.`,
  );

const MAX_BYTES = 64e6;
