/**
 * Writes the tables of docs/configuration.md and docs/errors.md from the code that declares them.
 * With `--check` nothing is written; the exit code says whether the files are up to date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { format } from 'prettier';
import { VARIABLES, type Group } from '../lib/config.ts';
import { ERROR_KINDS } from '../lib/errors.ts';

const GROUPS: Record<Group, string> = {
  jobs: 'Jobs',
  inputs: 'Inputs',
  outputs: 'Outputs',
  results: 'Results',
  comfy: 'ComfyUI',
  bucket: 'Bucket',
  api: 'Local API',
  log: 'Logging',
  platform: 'Set by the platform',
};

function configuration(): string {
  const tables = Object.entries(GROUPS).map(([group, title]) => {
    const rows = Object.entries(VARIABLES)
      .filter(([, variable]) => variable.group === group)
      .map(([name, variable]) => [`\`${name}\``, defaultOf(variable), variable.about]);
    return `## ${title}\n\n${table(['variable', 'default', 'what it does'], rows)}`;
  });
  return `# Configuration

Every setting is an environment variable. The empty string counts as absent. A value that does not parse stops the start, and
all such values are reported together. Names known from the Python worker keep their meaning.

${tables.join('\n\n')}
`;
}

function errors(): string {
  const rows = Object.entries(ERROR_KINDS).map(([code, kind]) => [
    `\`${code}\``,
    kind.meaning,
    kind.owner,
    kind.retryable ? 'yes' : 'no',
    kind.then,
  ]);
  return `# Errors

Every failure has a code that never changes; it is in the worker's log line (\`code\`). The text beside it is for people and is what
the caller sees. "Who" can do something about it; "again" tells whether the same job may succeed when it is sent again.

${table(['code', 'what happened', 'who', 'again', 'what the worker does'], rows)}
`;
}

function defaultOf({ absent, shown }: { absent: unknown; shown?: string }): string {
  if (shown !== undefined) return shown;
  return absent === undefined ? '-' : `\`${JSON.stringify(absent).replaceAll('"', '')}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const check = process.argv.includes('--check');
const documents = { 'docs/configuration.md': configuration(), 'docs/errors.md': errors() };
for (const [path, text] of Object.entries(documents)) {
  const written = await readFile(path, 'utf8').catch(() => '');
  const wanted = await format(text, { parser: 'markdown', printWidth: 100 });
  if (written === wanted) continue;
  if (check) {
    console.error(`${path} is not what the code says; run: npm run docs`);
    process.exitCode = 1;
  } else {
    await writeFile(path, wanted);
    console.log(`wrote ${path}`);
  }
}
