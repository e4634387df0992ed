import { InvalidArgumentError, type Command } from 'commander';

/** What `run` and `submit` have in common. */
export interface JobOptions {
  readonly image?: readonly string[];
  readonly set?: readonly string[];
  readonly out: string;
  readonly json?: true;
  readonly quiet?: true;
  /** Seconds. */
  readonly timeout: number;
}

export function addJobOptions(command: Command): Command {
  return command
    .argument('<file>', 'a job, an input or a workflow exported from ComfyUI as API; - is stdin')
    .option('--image <name=path>', 'an input image; may be repeated', collect)
    .option(
      '--set <node.input=value>',
      'set an input; the node by id, title or class, the value as JSON or else as text; may be repeated',
      collect,
    )
    .option('--out <folder>', 'where images are saved; nothing is written over', './output')
    .option('--timeout <seconds>', 'cancel the job after that long', toSeconds, 3600)
    .option('--json', 'tell the result as one line of JSON on stdout')
    .option('--quiet', 'tell problems only');
}

export function toPort(text: string): number {
  return toNumber(text, { min: 0, max: 65_535 });
}

function toSeconds(text: string): number {
  return toNumber(text, { min: 1, max: 604_800 });
}

function toNumber(text: string, { min, max }: { min: number; max: number }): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
}

const collect = (value: string, earlier: readonly string[] = []) => [...earlier, value];
