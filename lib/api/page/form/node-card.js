import { h } from '../dom.js';
import { fieldControl } from './field-control.js';

/**
 * @import { Draft } from '../workflow/draft.js'
 * @import { Problem } from './problems.js'
 * @import { WorkflowNode } from '../workflow/workflow.js'
 */

/** A node in the list: title, fields and problems. */
export class NodeCard {
  #problems = h('ul', { class: 'problems', hidden: true });
  #fold;

  /**
   * @param {Draft} draft
   * @param {WorkflowNode} node
   * @param {ReadonlyMap<string, string>} titles of all nodes, by id
   */
  constructor(draft, node, titles) {
    this.#fold = node.fields.length > 0 ? foldOf(draft, node, titles) : undefined;
    const content = this.#fold ?? h('div', { class: 'head' }, ...headOf(node));
    this.element = h(
      'li',
      { class: 'node', id: cardId(node.id), tabindex: -1, 'data-class': node.classType },
      content,
      this.#problems,
    );
  }

  /** @param {readonly Problem[]} problems */
  show(problems) {
    this.#problems.replaceChildren(...problems.map(({ text }) => h('li', {}, text)));
    this.#problems.hidden = problems.length === 0;
    this.element.classList.toggle('wrong', problems.length > 0);
    if (this.#fold && problems.length > 0) this.#fold.open = true;
    for (const control of this.element.querySelectorAll('[data-field]')) {
      const name = control.getAttribute('data-field');
      const isNamed = problems.some(({ text }) => text.split(/[\s:]/, 1)[0] === name);
      if (isNamed) control.setAttribute('aria-invalid', 'true');
      else control.removeAttribute('aria-invalid');
    }
  }
}

/** @param {string} nodeId */
export const cardId = (nodeId) => `node-${nodeId}`;

/**
 * @param {Draft} draft
 * @param {WorkflowNode} node
 * @param {ReadonlyMap<string, string>} titles
 */
function foldOf(draft, node, titles) {
  const gist = h('span', { class: 'gist' });
  const showGist = () => {
    gist.textContent = node.fields.map((field) => draft.plainOf(field)).join(' · ');
  };
  showGist();
  const fields = node.fields.map((field, index) =>
    fieldControl(draft, field, `${cardId(node.id)}-${index}`),
  );
  const fold = h(
    'details',
    { open: startsOpen(node), ontoggle: showGist },
    h('summary', { class: 'head' }, ...headOf(node), gist),
    h('div', { class: 'fields' }, ...fields),
    sourcesOf(node, titles),
  );
  fold.addEventListener('invalid', () => (fold.open = true), { capture: true });
  return fold;
}

/** @param {WorkflowNode} node */
function headOf({ id, title, classType }) {
  const named = title === classType ? undefined : h('span', { class: 'class' }, classType);
  return [h('h3', {}, title), named, h('span', { class: 'id', title: 'Id of the node' }, `#${id}`)];
}

/**
 * @param {WorkflowNode} node
 * @param {ReadonlyMap<string, string>} titles
 */
function sourcesOf({ links }, titles) {
  if (links.length === 0) return undefined;
  const sources = links.map(({ name, from }) => `${name} ← ${titles.get(from) ?? `#${from}`}`);
  return h('p', { class: 'links' }, sources.join('   '));
}

/** Nodes with prompts, seeds, sizes or images start open, because people change those. @param {WorkflowNode} node */
function startsOpen({ fields }) {
  return fields.some(
    ({ kind, name }) => ['prompt', 'seed', 'image'].includes(kind) || name === 'width',
  );
}
