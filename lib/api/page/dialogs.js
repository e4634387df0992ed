import { byId } from './dom.js';
import { curlCommand, sdkSnippet } from './workflow/snippets.js';

/**
 * Shows the request on the form as commands and code.
 *
 * @import { Draft } from './workflow/draft.js'
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

/** Connects the copy buttons of `index.html`. */
export function prepareCodeDialog() {
  for (const button of document.querySelectorAll('button[data-copies]')) {
    button.addEventListener('click', () => void copy(button));
  }
}

/** Selects the text, and copies it where the browser allows that (only on secure connections). @param {Element} button */
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

/** @type {Promise<string | undefined> | undefined} The open question. Several refused requests share one dialog. */
let asking;

/**
 * Asks for the API key.
 *
 * @param {boolean} wasWrong
 * @returns {Promise<string | undefined>} undefined when the dialog was closed
 */
export function askForKey(wasWrong) {
  asking ??= ask(wasWrong).finally(() => (asking = undefined));
  return asking;
}

/** @param {boolean} wasWrong */
async function ask(wasWrong) {
  const dialog = byId('key-dialog', HTMLDialogElement);
  const input = byId('key', HTMLInputElement);
  const closed = Promise.withResolvers();
  byId('key-wrong', HTMLElement).hidden = !wasWrong;
  input.value = '';
  dialog.returnValue = '';
  dialog.addEventListener('close', closed.resolve, { once: true });
  dialog.showModal();
  await closed.promise;
  return dialog.returnValue === 'use' && input.value !== '' ? input.value.trim() : undefined;
}
