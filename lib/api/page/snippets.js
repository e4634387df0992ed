import { JsonText } from './json-text.js';
import { splice } from './splice.js';

/**
 * The same request for a terminal and for a program.
 *
 * @typedef {object} Address
 * @property {string} base where the page was loaded from, with a slash at its end
 * @property {boolean} needsKey
 */

/**
 * The workflow goes in as a document of its own: no quoting can go wrong in it.
 *
 * @param {string} request
 * @param {Address} address
 */
export function curlCommand(request, { base, needsKey }) {
  return [
    `curl -sS '${base}runsync' \\`,
    ...(needsKey ? [`  -H "Authorization: Bearer $API_KEY" \\`] : []),
    `  -H 'Content-Type: application/json' \\`,
    `  --data-binary @- <<'JSON'`,
    withPlaceholders(request),
    'JSON',
  ].join('\n');
}

/**
 * @param {string} request
 * @param {Address} address
 */
export function sdkSnippet(request, { base, needsKey }) {
  const key = needsKey ? 'process.env.API_KEY' : `'none'`;
  return [
    `import runpodSdk from 'runpod-sdk';`,
    '',
    `const runpod = runpodSdk(${key}, { baseUrl: '${base}v2' });`,
    `const endpoint = runpod.endpoint('local');`,
    `const job = await endpoint.runSync(${withExactNumbers(withPlaceholders(request))});`,
    `console.log(job.status, job.output);`,
  ].join('\n');
}

/** Long texts in `images` are named, not shown. @param {string} request */
function withPlaceholders(request) {
  const json = JsonText.parse(request);
  const edits = (json.get('input')?.get('images')?.items() ?? []).flatMap((item) => {
    const image = item.get('image');
    if (!image || image.end - image.start < SHOWN_CHARACTERS) return [];
    const text = JSON.stringify(`<base64 of ${item.get('name')?.plain ?? 'the image'}>`);
    return [{ start: image.start, end: image.end, text }];
  });
  return splice(request, edits).trim();
}

/**
 * A program would round a seed beyond 2^53, and the SDK knows no way around; but the worker also takes an input as text.
 *
 * @param {string} request
 */
function withExactNumbers(request) {
  const input = JsonText.parse(request).get('input');
  if (!input || !isRounded(input)) return request;
  return splice(request, [{ start: input.start, end: input.end, text: literal(input.text) }]);
}

/** @param {JsonText} json @returns {boolean} */
function isRounded(json) {
  if (json.kind === 'number')
    return /^-?\d+$/.test(json.text) && !Number.isSafeInteger(Number(json.text));
  return [...json.items(), ...json.entries().map(([, member]) => member)].some(isRounded);
}

/** A text as JavaScript writes it, over several lines where that is possible. @param {string} text */
const literal = (text) => (/`|\$\{/.test(text) ? JSON.stringify(text) : `String.raw\`${text}\``);

const SHOWN_CHARACTERS = 400;
