import { randomInt } from 'node:crypto';

/**
 * Does what the editor does to a prompt before it submits it: removes comments, and replaces `{day|night}` by one of the
 * choices at random, nested ones included. A backslash keeps a brace or bar as it is. ComfyUI itself knows none of this.
 */
export function rollPrompt(text: string): string {
  let rolled = text.replace(COMMENT, (comment, end?: string) => (end === '' ? comment : ''));
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const before = rolled;
    rolled = before.replace(INNERMOST_CHOICE, (_, choices: string) => {
      const options = choices.split(BAR);
      return options[randomInt(options.length)] ?? '';
    });
    if (rolled === before) break;
  }
  return rolled.replace(/\\([{}|])/g, '$1');
}

/** The group is empty if a comment never ends. Such text is no comment, and matching it whole avoids a search from every start. */
const COMMENT = /\/\*[\s\S]*?(\*\/|$)|\/\/.*/g;
/** Every character matches in one way only (an escape, a lone backslash, or another character), so there is no backtracking. */
const INNERMOST_CHOICE = /(?<!\\)\{((?:\\[{}|]|\\(?![{}|])|[^{}\\])*)\}/g;
const BAR = /(?<!\\)\|/;
const MAX_DEPTH = 50;
