import { announce, h, icon } from '../dom.js';

/**
 * @import { Draft } from '../workflow/draft.js'
 * @import { Control } from './field-control.js'
 * @import { Field } from '../workflow/workflow.js'
 */

/**
 * An image field. The image is chosen, dropped or pasted.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
export function imageControl(draft, field) {
  const take = async (/** @type {File | undefined} */ file) => {
    if (!file?.type.startsWith('image/')) return;
    draft.pick(field, { name: file.name, dataUri: await toDataUri(file) });
    show();
    announce(`${draft.plainOf(field)} will be sent along`);
  };
  const chooser = h('input', { type: 'file', accept: 'image/*', hidden: true });
  chooser.addEventListener('change', () => void take(chooser.files?.[0]));
  const thumbnail = h('img', { alt: '' });
  const name = h('span', { class: 'name' });
  const hint = h('span', { class: 'hint' });
  const button = h(
    'button',
    { type: 'button', class: 'picture', onclick: () => chooser.click() },
    thumbnail,
    icon('image'),
    h('span', {}, name, hint),
  );
  const show = () => {
    const picture = draft.pictureOf(field);
    thumbnail.hidden = picture === undefined;
    if (picture !== undefined) thumbnail.src = picture;
    name.textContent = draft.plainOf(field);
    hint.textContent = picture ? 'Sent along with the job' : 'Not sent along: ComfyUI must have it';
  };
  show();
  acceptFiles(button, take);
  return { element: h('div', {}, button, chooser), focusable: button };
}

/**
 * Accepts dropped files. Images pasted elsewhere on the page arrive as `picture` events.
 *
 * @param {HTMLElement} target
 * @param {(file: File | undefined) => Promise<void>} take
 */
function acceptFiles(target, take) {
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => target.classList.remove('over'));
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    event.stopPropagation();
    target.classList.remove('over');
    void take(event.dataTransfer?.files[0]);
  });
  target.addEventListener('picture', (event) => {
    if (event instanceof CustomEvent && event.detail instanceof File) void take(event.detail);
  });
}

/**
 * @param {File} file
 * @returns {Promise<string>}
 */
function toDataUri(file) {
  const { promise, resolve, reject } = Promise.withResolvers();
  const reader = new FileReader();
  reader.onload = () => resolve(typeof reader.result === 'string' ? reader.result : '');
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(file);
  return promise;
}
