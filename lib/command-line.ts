/**
 * Splits a command line into words as a POSIX shell does: blanks separate, `'...'` is literal, `"..."` keeps blanks, a
 * backslash keeps the next character. Nothing else of a shell is done: no variables, no wildcards, no operators.
 * @throws SyntaxError when a quote is not closed, or the line ends with a backslash.
 */
export function splitCommandLine(line: string): string[] {
  const words: string[] = [];
  let rest = line.trimStart();
  while (rest !== '') {
    let word = '';
    // One word is any number of quoted and unquoted parts without a blank between them.
    while (rest !== '' && !/^\s/.test(rest)) {
      const part = PART.exec(rest);
      if (!part)
        throw new SyntaxError(
          rest.startsWith('\\')
            ? 'ends with a backslash'
            : `has a quote ${rest[0]} that is not closed`,
        );
      const [whole, literal, quoted, escaped, plain] = part;
      word += literal ?? quoted?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? plain ?? '';
      rest = rest.slice(whole.length);
    }
    words.push(word);
    rest = rest.trimStart();
  }
  return words;
}

const PART = /^(?:'([^']*)'|"((?:[^"\\]|\\[^])*)"|\\([^])|([^\s'"\\]+))/;
