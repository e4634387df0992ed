import { byId } from './dom.js';

/**
 * The ways a workflow comes in: chosen, dropped anywhere, or pasted anywhere.
 *
 * @param {object} options
 * @param {(file: File) => void} options.onFile
 * @param {(text: string) => void} options.onText
 * @param {(picture: File) => boolean} options.onPicture a pasted image; false when nobody wants it
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

/** For phones, where there are no keys to paste with. Browsers have no clipboard for pages on insecure connections. @param {(text: string) => void} onText */
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
