import { h, icon } from '../dom.js';
import { imageControl } from './image-control.js';

/**
 * @import { Draft } from '../workflow/draft.js'
 * @import { Field } from '../workflow/workflow.js'
 *
 * @typedef {object} Control The elements of a field.
 * @property {HTMLElement} element
 * @property {HTMLElement} focusable
 */

/**
 * A label and a control for a field. Changes go into the draft at once.
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
 * Numbers stay text: a seed has up to 20 digits, and JavaScript numbers keep only 15 or 16.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control & { focusable: HTMLInputElement }}
 */
function numberControl(draft, field) {
  const take = () => {
    input.setCustomValidity(
      NUMBER.test(input.value.trim()) ? '' : `Expected a number, like ${field.json.text}`,
    );
    if (input.validity.valid) draft.change(field, input.value.trim());
  };
  const input = h('input', {
    inputmode: 'decimal',
    autocomplete: 'off',
    spellcheck: 'false',
    oninput: take,
    onkeydown: (/** @type {KeyboardEvent} */ event) => {
      const stepped = stepOf(event, input.value, SIZE.test(field.name) ? 8n : 1n);
      if (stepped === undefined) return;
      event.preventDefault();
      input.value = stepped;
      take();
    },
  });
  input.value = draft.jsonOf(field);
  return { element: input, focusable: input };
}

/**
 * A number with a button for a random value.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
function seedControl(draft, field) {
  const { focusable: input } = numberControl(draft, field);
  const roll = () => {
    input.value = randomSeed();
    input.dispatchEvent(new Event('input'));
  };
  input.addEventListener('roll', roll);
  const title = `Another ${field.name.replaceAll('_', ' ')}`;
  const dice = h(
    'button',
    { type: 'button', class: 'quiet', title, 'aria-label': title, onclick: roll },
    icon('dice'),
  );
  return { element: h('div', { class: 'joined' }, input, dice), focusable: input };
}

/** 50 bits, like the seeds of ComfyUI's editor. */
function randomSeed() {
  const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return String(random >> 14n);
}

/**
 * The arrow keys change whole numbers by `step`.
 *
 * @param {KeyboardEvent} event
 * @param {string} value
 * @param {bigint} step
 */
function stepOf({ key }, value, step) {
  if (!/^-?\d+$/.test(value)) return undefined;
  if (key === 'ArrowUp') return String(BigInt(value) + step);
  if (key === 'ArrowDown') return String(BigInt(value) - step);
  return undefined;
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
 * Lists, objects and null, edited as JSON.
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

/** A number in JSON. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const SIZE = /(^|_)(width|height)$/;

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
