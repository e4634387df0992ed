import { announce, byId, h, icon } from '../dom.js';
import { stateOf } from './job-state.js';

/**
 * @import { Job } from './job.js'
 * @import { Problem } from '../form/problems.js'
 * @import { ResultFile } from './output.js'
 */

/** Shows one job: progress, problems and results. */
export class JobView {
  #panel = byId('job', HTMLElement);
  #title = h('h2', { tabindex: -1 });
  #state = h('span', { class: 'state' });
  #bar = h('progress', { max: 100, 'aria-label': 'Progress of the job' });
  #line = h('span', { class: 'line' });
  #cancel = h('button', { type: 'button', class: 'quiet' }, icon('stop'), 'Cancel');
  #progress = h('div', { class: 'progress' }, this.#bar, this.#line, this.#cancel);
  #preview = h('img', { class: 'preview', alt: 'Preview of the picture so far' });
  #problems = h('ul', { class: 'problems' });
  #files = h('div', { class: 'files' });
  #nothing = h('p', { class: 'hint' }, NOTHING_MADE);
  #goTo;
  #announced = '';
  /** @type {Job | undefined} */
  #job;

  /** @param {{ goTo: (nodeId: string) => void }} options */
  constructor({ goTo }) {
    this.#goTo = goTo;
    this.#cancel.addEventListener('click', () => void this.#job?.cancel());
  }

  /**
   * @param {Job} job
   * @param {readonly Problem[]} problems
   */
  show(job, problems) {
    if (job !== this.#job) this.#begin(job);
    const state = stateOf(job);
    this.#state.textContent = state.word;
    this.#panel.dataset.state = state.look;
    this.#showProgress(job);
    this.#showPreview(job);
    this.#problems.replaceChildren(...problems.map((problem) => this.#problemItem(problem)));
    this.#problems.hidden = problems.length === 0;
    if (this.#files.childElementCount === 0) this.#showResults(job);
    this.#nothing.hidden = job.status !== 'COMPLETED' || this.#files.childElementCount > 0;
    this.#announce(state.spoken);
  }

  /** @param {Job} job */
  #begin(job) {
    this.#job = job;
    this.#announced = '';
    this.#title.textContent = job.title;
    this.#files.replaceChildren();
    this.#panel.replaceChildren(
      h('header', {}, this.#title, this.#state),
      this.#progress,
      this.#problems,
      this.#preview,
      this.#files,
      this.#nothing,
    );
  }

  /** @param {Job} job */
  #showProgress({ isOver, isKnown, progress, status }) {
    if (isOver && this.#progress.contains(document.activeElement)) this.#title.focus();
    this.#progress.hidden = isOver;
    this.#cancel.disabled = !isKnown;
    if (progress) this.#bar.value = progress.percent;
    else this.#bar.removeAttribute('value');
    this.#line.textContent = lineOf(status, progress);
  }

  /** @param {Job} job */
  #showPreview({ preview, isOver }) {
    this.#preview.hidden = isOver || preview === undefined;
    if (preview !== undefined) this.#preview.src = preview;
  }

  /** @param {Job} job */
  #showResults({ files, texts }) {
    this.#files.append(...files.map(fileCard), ...texts.map((text) => h('pre', {}, text)));
  }

  /** @param {Problem} problem */
  #problemItem({ text, nodeId }) {
    if (nodeId === undefined) return h('li', {}, text);
    const onclick = () => this.#goTo(nodeId);
    return h(
      'li',
      {},
      h('button', { type: 'button', class: 'link', onclick }, `Node ${nodeId}`),
      ` ${text}`,
    );
  }

  /** Announces each text once: nodes and endings, not every step. @param {string} text */
  #announce(text) {
    if (text === this.#announced) return;
    this.#announced = text;
    announce(text);
  }
}

/**
 * A result file, with links to open and save it.
 *
 * @param {ResultFile} file
 */
function fileCard(file) {
  return h('figure', {}, shownAs(file), h('figcaption', {}, ...captionOf(file)));
}

/**
 * Linked files are not shown, only linked: the page loads nothing from other servers.
 *
 * @param {ResultFile} file
 */
function shownAs({ name, blob, kind }) {
  if (blob === undefined || kind === 'other') return undefined;
  if (kind !== 'image') return h(kind, { src: blob, controls: true, 'aria-label': name });
  const picture = h('img', { src: blob, alt: name });
  return h('a', { ...inNewTab(blob), tabindex: -1, 'aria-hidden': 'true' }, picture);
}

/** @param {ResultFile} file */
function captionOf({ name, blob, place, bytes }) {
  const told = h('span', { class: 'name' }, name);
  if (blob !== undefined) {
    const size = h('span', { class: 'hint' }, sizeOf(bytes));
    return [told, size, openLink(name, blob), saveLink(name, blob)];
  }
  const hint = h('span', { class: 'hint' }, place.replace(/\?.*/, ''));
  return /^https?:/.test(place) ? [told, hint, openLink(name, place)] : [told, hint];
}

/**
 * @param {string} name
 * @param {string} url
 */
const openLink = (name, url) =>
  h('a', { ...inNewTab(url), class: 'button', 'aria-label': `Open ${name}` }, icon('open'), 'Open');

/**
 * @param {string} name
 * @param {string} url
 */
const saveLink = (name, url) =>
  h(
    'a',
    { href: url, download: name, class: 'button', 'aria-label': `Save ${name}` },
    icon('save'),
    'Save',
  );

/** @param {string} url */
const inNewTab = (url) => ({ href: url, target: '_blank', rel: 'noopener noreferrer' });

/** @param {number} bytes */
const sizeOf = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;

/**
 * @param {Job['status']} status
 * @param {Job['progress']} progress
 */
function lineOf(status, progress) {
  if (status === 'SENDING') return 'Sending';
  if (status === 'IN_QUEUE') return 'Waiting for its turn';
  if (!progress) return 'Starting';
  const steps = progress.steps ? `, step ${progress.step} of ${progress.steps}` : '';
  return `${progress.nodeTitle ?? 'Working'}${steps}`;
}

const NOTHING_MADE =
  'The workflow ended without a file to keep. Previews are thrown away; a “Save Image” node keeps pictures.';
