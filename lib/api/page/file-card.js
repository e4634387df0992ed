import { h, icon } from './dom.js';

/**
 * A file a job made: to be seen, opened and saved.
 *
 * @import { ResultFile } from './result-files.js'
 *
 * @param {ResultFile} file
 */
export function fileCard(file) {
  const { name, url, isLink } = file;
  const size = isLink ? 'in the bucket' : sizeOf(file.bytes ?? 0);
  const open = { href: url, target: '_blank', rel: 'noopener' };
  return h(
    'figure',
    {},
    shownAs(file, open),
    h(
      'figcaption',
      {},
      h('span', { class: 'name' }, name),
      h('span', { class: 'hint' }, size),
      h('a', { ...open, class: 'button', 'aria-label': `Open ${name}` }, icon('open'), 'Open'),
      isLink
        ? undefined
        : h(
            'a',
            { href: url, download: name, class: 'button', 'aria-label': `Save ${name}` },
            icon('save'),
            'Save',
          ),
    ),
  );
}

/**
 * What is elsewhere stays there until somebody opens it: the page loads from its own server alone.
 *
 * @param {ResultFile} file
 * @param {Readonly<Record<string, string>>} open
 */
function shownAs({ name, url, kind, isLink }, open) {
  if (isLink || kind === 'other') return undefined;
  if (kind === 'image')
    return h(
      'a',
      { ...open, tabindex: -1, 'aria-hidden': 'true' },
      h('img', { src: url, alt: name }),
    );
  return h(kind, { src: url, controls: true, 'aria-label': name });
}

/** @param {number} bytes */
const sizeOf = (bytes) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
