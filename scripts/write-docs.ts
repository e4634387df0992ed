/**
 * Writes the tables of docs/configuration.md and docs/errors.md from the code that declares them.
 * With `--check` it writes nothing; the exit code is 1 if a file is out of date.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { format } from 'prettier';
import { VARIABLES, type Group } from '../lib/config.ts';
import { ERROR_KINDS, isReplayed, type ErrorCode } from '../lib/errors.ts';

const GROUPS: Record<Group, string> = {
  jobs: 'Jobs',
  inputs: 'Inputs',
  models: 'Models',
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
      .map(([name, variable]) => [`\`${name}\``, defaultOf(variable), variable.description]);
    return `## ${title}\n\n${table(['variable', 'default', 'what it does'], rows)}`;
  });
  return `# Configuration

Every setting is an environment variable. The empty string means "not set". With a value that does not parse the worker does not
start; it reports all such values together. Variables of the Python worker keep their names and meaning.

${tables.join('\n\n')}
`;
}

function errors(): string {
  const rows = (Object.keys(ERROR_KINDS) as ErrorCode[]).map((code) => {
    const kind = ERROR_KINDS[code];
    return [
      `\`${code}\``,
      kind.meaning,
      kind.owner,
      kind.retryable ? 'yes' : 'no',
      isReplayed(code) ? 'yes' : 'no',
      kind.then,
    ];
  });
  return `# Errors

Every failure has a code, which never changes. It is in the log line of the worker (\`code\`)
and, when the job's prompt did not succeed, in \`output.failure.code\` of its result. The caller sees the message. "who" is
the party that can do something about it; "retry" says whether the same job may succeed when it is sent again. "replay" says whether the worker itself runs the job once more when
ComfyUI died meanwhile.

${table(['code', 'what happened', 'who', 'retry', 'replay', 'what the worker does'], rows)}
`;
}

function defaultOf(variable: { default: unknown; shownDefault?: string }): string {
  if (variable.shownDefault !== undefined) return variable.shownDefault;
  if (variable.default === undefined) return '-';
  return `\`${JSON.stringify(variable.default).replaceAll('"', '')}\``;
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
    console.error(`${path} is out of date; run: npm run docs`);
    process.exitCode = 1;
  } else {
    await writeFile(path, wanted);
    console.log(`wrote ${path}`);
  }
}
