import { byId } from './dom.js';
import { curlCommand, sdkSnippet } from './snippets.js';

/**
 * Shows how the request on the form is made without this page.
 *
 * @import { Draft } from './draft.js'
 * @param {Draft} draft
 * @param {boolean} needsKey
 */
export function showCode(draft, needsKey) {
  const address = { base: new URL('.', document.baseURI).href, needsKey };
  byId('code-curl', HTMLElement).textContent = curlCommand(draft.text, address);
  byId('code-sdk', HTMLElement).textContent = sdkSnippet(draft.text, address);
  const save = byId('code-save', HTMLAnchorElement);
  URL.revokeObjectURL(save.href);
  save.href = URL.createObjectURL(new Blob([draft.workflowText], { type: 'application/json' }));
  save.download = draft.name.replace(/(\.\w+)?$/, '.json');
  byId('code-dialog', HTMLDialogElement).showModal();
}

/** Wires the copy buttons of `index.html`. */
export function prepareCodeDialog() {
  for (const button of document.querySelectorAll('button[data-copies]')) {
    button.addEventListener('click', () => void copy(button));
  }
}

/** Without a secure connection browsers have no clipboard for pages; then the text is selected. @param {Element} button */
async function copy(button) {
  const source = byId(button.getAttribute('data-copies') ?? '', HTMLElement);
  getSelection()?.selectAllChildren(source);
  const isCopied = await toClipboard(source.textContent);
  const label = button.querySelector('span');
  if (label) label.textContent = isCopied ? 'Copied' : 'Selected: press Ctrl+C';
}

/** @param {string} text */
async function toClipboard(text) {
  if (!('clipboard' in navigator)) return false;
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => false,
  );
}
