import type { ErrorCode } from '../errors.ts';

/** What a command ends with, and what `--help` says about it. */
const EXIT_CODES = {
  done: [0, 'done'],
  failed: [1, 'the job failed, or doctor found something that does not work'],
  usage: [2, 'the command line, a file or a setting cannot be used; nothing was run'],
  unreachable: [3, 'ComfyUI or the endpoint does not answer, or does not let you in'],
  timedOut: [
    4,
    'the job took longer than --timeout, or than the platform allows; it was cancelled',
  ],
  notSaved: [5, 'the job is done, but not all of its images could be saved'],
  cancelled: [130, 'cancelled with Ctrl-C'],
} as const;

export type Ending = keyof typeof EXIT_CODES;

export const exitCode = (ending: Ending): number => EXIT_CODES[ending][0];

/** The table, for `--help`. */
export function describeExitCodes(): string {
  const lines = Object.values(EXIT_CODES).map(
    ([code, meaning]) => `  ${String(code).padEnd(4)} ${meaning}`,
  );
  return `\nExit codes:\n${lines.join('\n')}\n`;
}

/** How a command ends that threw an error with this code. */
export function endingOf(code: ErrorCode): Ending {
  return ENDINGS[code] ?? 'failed';
}

const ENDINGS: Partial<Record<ErrorCode, Ending>> = {
  'usage.invalid': 'usage',
  'workflow.input_unknown': 'usage',
  'config.invalid': 'usage',
  'storage.misconfigured': 'usage',
  'comfy.unreachable': 'unreachable',
  'endpoint.unreachable': 'unreachable',
  'job.timeout': 'timedOut',
};
