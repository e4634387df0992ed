import { parseArgs } from 'node:util';
import { invalidConfig, LogLevelSchema } from '../lib/config.ts';
import type { LogLevel } from '../lib/log.ts';

/** The flags of the Python SDK, and `--simulate`. */
export interface Arguments {
  /** `--test_input`: a job as JSON text. */
  readonly testInput: string | undefined;
  /** `--rp_log_level` */
  readonly logLevel: LogLevel | undefined;
  /** `--rp_debugger` */
  readonly debug: boolean;
  /** `--rp_serve_api`, with port, host and concurrency; undefined without that flag. */
  readonly serveApi: ApiArguments | undefined;
  /** `--simulate`: the embedded ComfyUI instead of a real one. */
  readonly simulate: boolean;
}

interface ApiArguments {
  /** When undefined, the environment decides. */
  readonly port: number | undefined;
  readonly host: string | undefined;
  readonly concurrency: number;
}

/**
 * Reads `--flag value` and `--flag=value`. Unknown flags are ignored: they may be meant for another program in the container.
 * @throws WorkerError `config.invalid`, naming every flag that does not parse.
 */
export function parseArguments(argv: readonly string[]): Arguments {
  const problems: string[] = [];
  const flags = new Flags(argv, problems);
  const found: Arguments = {
    testInput: flags.text('test_input'),
    logLevel: flags.level('rp_log_level'),
    debug: flags.isSet('rp_debugger'),
    serveApi: flags.api(),
    simulate: flags.isSet('simulate'),
  };
  if (problems.length > 0) throw invalidConfig(problems);
  return found;
}

class Flags {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #problems: string[];

  constructor(argv: readonly string[], problems: string[]) {
    this.#values = parseArgs({ args: [...argv], options: OPTIONS, strict: false }).values;
    this.#problems = problems;
  }

  isSet(name: Name): boolean {
    return this.#values[name] !== undefined;
  }

  /** If a flag follows, the value was forgotten. */
  text(name: Name): string | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    if (typeof value === 'string' && !value.startsWith('--')) return value;
    this.#problems.push(`--${name} needs a value`);
    return undefined;
  }

  level(name: Name): LogLevel | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const parsed = LogLevelSchema.safeParse(text);
    if (parsed.success) return parsed.data;
    const reasons = parsed.error.issues.map(({ message }) => message);
    this.#problems.push(`--${name} ${reasons.join(', ')}, got ${JSON.stringify(text)}`);
    return undefined;
  }

  /** The values are checked even when they are not used, so a wrong one is always reported. */
  api(): ApiArguments | undefined {
    const api = {
      port: this.#wholeNumber('rp_api_port', { min: 0, max: 65_535 }),
      host: this.text('rp_api_host'),
      concurrency: this.#wholeNumber('rp_api_concurrency', { min: 1, max: 100 }) ?? 1,
    };
    return this.isSet('rp_serve_api') ? api : undefined;
  }

  #wholeNumber(name: Name, { min, max }: { min: number; max: number }): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    const bounds = `must be a whole number from ${min} to ${max}`;
    this.#problems.push(`--${name} ${bounds}, got ${JSON.stringify(text)}`);
    return undefined;
  }
}

const OPTIONS = {
  test_input: { type: 'string' },
  rp_log_level: { type: 'string' },
  rp_serve_api: { type: 'boolean' },
  rp_api_port: { type: 'string' },
  rp_api_host: { type: 'string' },
  rp_api_concurrency: { type: 'string' },
  rp_debugger: { type: 'boolean' },
  simulate: { type: 'boolean' },
} as const;

type Name = keyof typeof OPTIONS;
