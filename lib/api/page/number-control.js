import { h, icon } from './dom.js';

/**
 * Numbers stay text all the way: a seed has up to 20 digits, and a browser's own number has 15 or 16.
 *
 * @import { Draft } from './draft.js'
 * @import { Control } from './field-control.js'
 * @import { Field } from './workflow.js'
 */

/**
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control & { focusable: HTMLInputElement }}
 */
export function numberControl(draft, field) {
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
 * A number with a dice.
 *
 * @param {Draft} draft
 * @param {Field} field
 * @returns {Control}
 */
export function seedControl(draft, field) {
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

/** As large as the editor of ComfyUI makes them: 50 bits. */
function randomSeed() {
  const [random = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return String(random >> 14n);
}

/**
 * Whole numbers go up and down with the arrow keys, sizes by eight.
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

/** What JSON takes for a number. */
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
const SIZE = /(^|_)(width|height)$/;
