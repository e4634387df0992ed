import { splitCommandLine } from '../../lib/command-line.ts';

/**
 * The simple commands of a shell script as words without quotes, also those inside `$(...)`. Assignments before a command,
 * redirections and comments are left out. Enough for the scripts of documents: no heredocs, loops or functions.
 */
export function commandsOf(script: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  const end = () => {
    const program = words.findIndex((word) => !/^\w+=/.test(word));
    if (program >= 0) commands.push(words.slice(program));
    words = [];
  };
  const text = `${script.replaceAll(/\\\n\s*/g, ' ')}\n`;
  for (const [, operator, redirection, word] of text.matchAll(TOKEN)) {
    if (operator !== undefined) end();
    if (redirection !== undefined || word === undefined) continue;
    for (const [, inner = ''] of word.matchAll(SUBSTITUTION)) commands.push(...commandsOf(inner));
    words.push(splitCommandLine(word.replaceAll(SUBSTITUTION, '…'))[0] ?? '');
  }
  return commands;
}

const SUBSTITUTION = /\$\(([^()]*)\)/g;
const WORD = /(?:'[^']*'|"(?:[^"\\]|\\.)*"|\\.|\$\([^()]*\)|[^\s'"\\;|&<>#]|(?<=\S)#)+/.source;
const REDIRECTION = `\\d?(?:>>?|<)(?:&\\d|\\s*${WORD})`;
const TOKEN = new RegExp(`#.*|(\\n|;|&&?|\\|\\|?)|(${REDIRECTION})|(${WORD})`, 'g');
