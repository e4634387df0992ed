import { byId } from './dom.js';

/** @type {Promise<string | undefined> | undefined} One question at a time, however many requests were refused. */
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
