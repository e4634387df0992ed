import { h, icon } from './dom.js';

/**
 * A file a job made: to be seen, opened and saved.
 *
 * @import { ResultFile } from './result-files.js'
 *
 * @param {ResultFile} file
 */
export function fileCard(file) {
  return h('figure', {}, shownAs(file), h('figcaption', {}, ...captionOf(file)));
}

/**
 * What is elsewhere stays there until somebody opens it: the page loads from its own server alone.
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
