import { h } from './dom.js';
import { imageControl } from './image-control.js';
import { numberControl, seedControl } from './number-control.js';

/**
 * @import { Draft } from './draft.js'
 * @import { Field } from './workflow.js'
 *
 * @typedef {object} Control What a field looks like.
 * @property {HTMLElement} element
 * @property {HTMLElement} focusable
 */

/**
 * A label and a control for a field; what is typed goes into the draft.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @param {string} id
 */
export function fieldControl(draft, field, id) {
  const { element, focusable } = CONTROLS[field.kind](draft, field);
  focusable.id = id;
  focusable.dataset.field = field.name;
  const label = h('label', { for: id }, field.name.replaceAll('_', ' '));
  return h('div', { class: `field field-${field.kind}` }, label, element);
}

/**
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
function promptControl(draft, field) {
  const area = h('textarea', {
    rows: 2,
    oninput: () => draft.change(field, JSON.stringify(area.value)),
  });
  area.value = draft.plainOf(field);
  return { element: area, focusable: area };
}

/**
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
function textControl(draft, field) {
  const input = h('input', {
    spellcheck: 'false',
    autocomplete: 'off',
    oninput: () => draft.change(field, JSON.stringify(input.value)),
  });
  input.value = draft.plainOf(field);
  return { element: input, focusable: input };
}

/**
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
function switchControl(draft, field) {
  const box = h('input', {
    type: 'checkbox',
    role: 'switch',
    onchange: () => draft.change(field, String(box.checked)),
  });
  box.checked = draft.jsonOf(field) === 'true';
  return { element: box, focusable: box };
}

/**
 * Lists, objects and null, as they are written.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
function jsonControl(draft, field) {
  const area = h('textarea', {
    class: 'code',
    rows: 2,
    spellcheck: 'false',
    oninput: () => {
      area.setCustomValidity(jsonProblem(area.value));
      if (area.validity.valid) draft.change(field, area.value.trim());
    },
  });
  area.value = draft.jsonOf(field);
  return { element: area, focusable: area };
}

/** @param {string} text */
function jsonProblem(text) {
  try {
    JSON.parse(text);
    return '';
  } catch (error) {
    return `This must be JSON: ${error instanceof SyntaxError ? error.message : ''}`;
  }
}

/** @type {Readonly<Record<Field['kind'], (draft: Draft, field: Field) => Control>>} */
const CONTROLS = {
  prompt: promptControl,
  text: textControl,
  number: numberControl,
  seed: seedControl,
  switch: switchControl,
  image: imageControl,
  json: jsonControl,
};
