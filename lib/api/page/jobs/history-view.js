import { byId, h, icon } from '../dom.js';
import { stateOf } from './job-state.js';

/**
 * @import { Job } from './job.js'
 *
 * @typedef {object} HistoryActions
 * @property {(job: Job) => void} show
 * @property {(job: Job) => void} again
 * @property {(job: Job) => void} edit
 */

/** The jobs of this session, newest first. */
export class HistoryView {
  #list = byId('history-list', HTMLOListElement);
  #section = byId('history', HTMLElement);
  #actions;
  /** @type {Map<Job, Entry>} */
  #entries = new Map();

  /** @param {HistoryActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {Job} job
   * @param {boolean} isShown
   */
  update(job, isShown) {
    const entry = this.#entries.get(job) ?? this.#add(job);
    entry.update(isShown);
  }

  /** @param {Job} job */
  remove(job) {
    this.#entries.get(job)?.element.remove();
    this.#entries.delete(job);
  }

  /** @param {Job} job */
  #add(job) {
    const entry = new Entry(job, this.#actions);
    this.#entries.set(job, entry);
    this.#list.prepend(entry.element);
    this.#section.hidden = false;
    return entry;
  }
}

class Entry {
  #job;
  #thumbnail = h('img', { alt: '', hidden: true });
  #state = h('span', { class: 'state' });
  #show;
  #cancel;

  /**
   * @param {Job} job
   * @param {HistoryActions} actions
   */
  constructor(job, { show, again, edit }) {
    this.#job = job;
    const at = new Date(job.startedAt).toLocaleTimeString([], {
      hour: '2-digit',
      minute: '2-digit',
    });
    this.#show = h(
      'button',
      { type: 'button', class: 'entry', onclick: () => show(job) },
      h('span', { class: 'thumbnail' }, this.#thumbnail),
      h('span', { class: 'what' }, h('span', { class: 'name' }, job.title), h('time', {}, at)),
      this.#state,
    );
    this.#cancel = action('stop', `Cancel “${job.title}”`, () => void job.cancel());
    this.element = h(
      'li',
      {},
      this.#show,
      this.#cancel,
      action('again', `Run “${job.title}” again`, () => again(job)),
      action('edit', `Put “${job.title}” back on the form`, () => edit(job)),
    );
  }

  /** @param {boolean} isShown */
  update(isShown) {
    const { look, word } = stateOf(this.#job);
    this.element.dataset.state = look;
    this.#state.textContent = word;
    this.#show.setAttribute('aria-current', String(isShown));
    if (this.#job.isOver && document.activeElement === this.#cancel) this.#show.focus();
    this.#cancel.hidden = this.#job.isOver;
    this.#cancel.disabled = !this.#job.isKnown;
    const picture = this.#job.files.find(({ kind, blob }) => kind === 'image' && blob);
    if (picture?.blob && this.#thumbnail.hidden) this.#thumbnail.src = picture.blob;
    this.#thumbnail.hidden = picture === undefined;
  }
}

/**
 * @param {string} drawing
 * @param {string} title
 * @param {() => void} onclick
 */
const action = (drawing, title, onclick) =>
  h(
    'button',
    { type: 'button', class: 'quiet', title, 'aria-label': title, onclick },
    icon(drawing),
  );
