import { randomInt } from 'node:crypto';

/**
 * What the editor makes of a prompt before it submits it: comments go, of `{day|night}` one is chosen by chance, blocks
 * within blocks included, and a backslash keeps a brace or bar as it is. ComfyUI itself knows nothing of it.
 */
export function rollPrompt(text: string): string {
  const plain = text.replace(COMMENT, (comment, end?: string) => (end === '' ? comment : ''));
  return unescape(rollBlocks(plain));
}

/** The innermost blocks are rolled first, until there are none, or nobody could have meant it. */
function rollBlocks(text: string): string {
  let rolled = text;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const before = rolled;
    rolled = before.replace(INNERMOST, (_, choices: string) => oneOf(choices.split(BAR)));
    if (rolled === before) break;
  }
  return rolled;
}

const oneOf = (options: readonly string[]) => options[randomInt(options.length)] ?? '';

const unescape = (text: string) => text.replace(/\\([{}|])/g, '$1');

/** The group is empty for a comment that never ends, which is none: so the rest is searched once, not from each start. */
const COMMENT = /\/\*[\s\S]*?(\*\/|$)|\/\/.*/g;
/** Each character can be read in one way only: a backslash with what it keeps, one that keeps nothing, or another. */
const INNERMOST = /(?<!\\)\{((?:\\[{}|]|\\(?![{}|])|[^{}\\])*)\}/g;
const BAR = /(?<!\\)\|/;
const MAX_DEPTH = 50;
