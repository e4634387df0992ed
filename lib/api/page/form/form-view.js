import { byId } from '../dom.js';
import { cardId, NodeCard } from './node-card.js';

/**
 * @import { Draft } from '../workflow/draft.js'
 * @import { Problem } from './problems.js'
 */

/** The workflow as a form. */
export class FormView {
  #list = byId('nodes', HTMLOListElement);
  #title = byId('workflow-title', HTMLElement);
  #about = byId('workflow-about', HTMLElement);
  #form = byId('workflow', HTMLFormElement);
  /** @type {ReadonlyMap<string, NodeCard>} */
  #cards = new Map();

  /** @param {{ onRun: () => void }} options */
  constructor({ onRun }) {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      onRun();
    });
    document.addEventListener('keydown', (event) => {
      const isAsked = event.key === 'Enter' && (event.ctrlKey || event.metaKey);
      const isBusy = event.repeat || document.querySelector('dialog[open]') !== null;
      if (isAsked && !isBusy) this.#form.requestSubmit();
    });
  }

  /** @param {Draft} draft */
  show(draft) {
    const titles = new Map(draft.nodes.map(({ id, title }) => [id, title]));
    this.#cards = new Map(draft.nodes.map((node) => [node.id, new NodeCard(draft, node, titles)]));
    this.#list.replaceChildren(...[...this.#cards.values()].map(({ element }) => element));
    this.#title.textContent = draft.name;
    this.#about.textContent = `${draft.nodes.length} nodes, in the order they run`;
    this.#form.hidden = false;
    this.#title.focus();
  }

  /** Shows each problem at its node. @param {readonly Problem[]} problems */
  showProblems(problems) {
    for (const [id, card] of this.#cards) card.show(problems.filter(({ nodeId }) => nodeId === id));
  }

  /** Marks the node that is running now. @param {string | undefined} nodeId */
  showWorking(nodeId) {
    for (const [id, { element }] of this.#cards) element.classList.toggle('working', id === nodeId);
  }

  /** @param {string} nodeId */
  goTo(nodeId) {
    const card = document.getElementById(cardId(nodeId));
    card?.scrollIntoView({ block: 'center' });
    card?.focus({ preventScroll: true });
  }

  rollSeeds() {
    for (const input of this.#list.querySelectorAll('.field-seed input'))
      input.dispatchEvent(new Event('roll'));
  }

  /** Gives a pasted image to the focused image field, or to the first one. Returns false when there is none. @param {File} file */
  givePicture(file) {
    const focused = document.activeElement?.closest('.picture');
    const field = focused ?? this.#list.querySelector('.picture');
    field?.dispatchEvent(new CustomEvent('picture', { detail: file }));
    return field !== null;
  }
}
