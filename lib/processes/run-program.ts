import { spawn } from 'node:child_process';
import { describeError, WorkerError } from '../errors.ts';

interface RunOptions {
  readonly cwd?: string;
  readonly signal: AbortSignal;
  /** Each line of its output. */
  readonly onLine: (line: string) => void;
}

/**
 * Runs a program, without a shell.
 * @returns its standard output
 * @throws WorkerError `manifest.step_failed` with the last lines of its output
 */
export async function runProgram(words: readonly string[], options: RunOptions): Promise<string> {
  const { cwd, signal, onLine } = options;
  const [program = '', ...args] = words;
  const shown = words.slice(0, MOST_WORDS).join(' ');
  const last: string[] = [];
  let output = '';
  const child = spawn(program, args, { cwd, signal, stdio: ['ignore', 'pipe', 'pipe'] });
  const collect = (chunk: string) => {
    for (const line of chunk.split('\n').filter((one) => one.trim() !== '')) {
      onLine(line);
      last.push(line);
      if (last.length > LAST_LINES) last.shift();
    }
  };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output = (output + chunk).slice(-MOST_OUTPUT);
    collect(chunk);
  });
  child.stderr.setEncoding('utf8').on('data', collect);
  const ended = Promise.withResolvers<string>();
  child.once('error', (error) => ended.resolve(describeError(error)));
  child.once('close', (code) => ended.resolve(code === 0 ? '' : `exit code ${String(code)}`));
  const problem = await ended.promise;
  signal.throwIfAborted();
  if (problem === '') return output;
  const lines = last.map((line) => `\n  ${line}`).join('');
  throw new WorkerError('manifest.step_failed', `${shown}: ${problem}${lines}`);
}

const MOST_WORDS = 8;
const LAST_LINES = 15;
const MOST_OUTPUT = 100_000;
