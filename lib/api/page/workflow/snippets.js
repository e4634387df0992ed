import { JsonText } from '../shared/json.js';
import { plainText } from './workflow.js';

/**
 * The request on the form as a command for a terminal and as code for a program.
 *
 * @typedef {object} Address
 * @property {string} base address of the page, with a slash at its end
 * @property {boolean} needsKey
 */

/**
 * The request is a here-document, so the shell does not interpret anything in it.
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

/** Large images are replaced by a placeholder with their name. @param {string} request */
function withPlaceholders(request) {
  const json = JsonText.parse(request);
  const images = json.get('input')?.get('images')?.items() ?? [];
  const edits = images.flatMap((item) => {
    const image = item.get('image');
    if (!image || image.text.length < SHOWN_CHARACTERS) return [];
    const name = plainText(item.get('name')) ?? 'the image';
    return [/** @type {const} */ ([image, JSON.stringify(`<base64 of ${name}>`)])];
  });
  return json.replacingAll(edits).text;
}

/**
 * JavaScript rounds integers beyond 2^53, such as large seeds, and the SDK only takes values. The worker also accepts an
 * input that is a string of JSON, so such an input is sent as a string.
 *
 * @param {string} request
 */
function withExactNumbers(request) {
  const json = JsonText.parse(request);
  const input = json.get('input');
  if (!input || !hasRoundedInteger(input)) return request;
  const { text } = input;
  const literal = /`|\$\{/.test(text) ? JSON.stringify(text) : `String.raw\`${text}\``;
  const members = json
    .entries()
    .map(([name, member]) => [JSON.stringify(name), name === 'input' ? literal : member.text]);
  return `{${members.map((member) => member.join(':')).join(',')}}`;
}

/** @param {JsonText} json @returns {boolean} */
function hasRoundedInteger(json) {
  if (json.kind === 'number')
    return /^-?\d+$/.test(json.text) && !Number.isSafeInteger(Number(json.text));
  const members = json.entries().map(([, member]) => member);
  return [...json.items(), ...members].some(hasRoundedInteger);
}

const SHOWN_CHARACTERS = 400;
