import { readConfig, type Config } from '../lib/config.ts';
import { isWorkerError } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';
import { parseArguments, type Arguments } from './flags.ts';
import { VERSION } from '../lib/version.ts';
import type { ModeStart } from './start-jobs.ts';

/** How the program was called. */
export interface Call {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly args: readonly string[];
}

interface Mode {
  readonly name: 'command' | 'one job' | 'local API' | 'worker on a queue';
  fits(program: Program): boolean;
  /** @returns the exit code of the program. */
  run(program: Program): Promise<number>;
}

/** The ways to run the program. The first mode that fits is run; its code is loaded only then. */
const MODES: readonly Mode[] = [
  {
    // A word or a request for help. Everything else is flags for the worker, as in the Python SDK.
    name: 'command',
    fits: ({ args }) => /^(?:[^-].*|-h|--help|-V|--version)$/.test(args[0] ?? ''),
    run: async ({ environment, args }) =>
      (await import('./modes/commands.ts')).runCommand({ environment, args }, main),
  },
  {
    name: 'one job',
    fits: ({ flags }) => flags.testInput !== undefined,
    run: async (program) =>
      (await import('./modes/local-jobs.ts')).runOneJob(await program.start()),
  },
  {
    // Also the default where no platform offers jobs.
    name: 'local API',
    fits: ({ flags, config }) =>
      flags.serveApi !== undefined ||
      config.SERVE_API_LOCALLY ||
      config.RUNPOD_WEBHOOK_GET_JOB === undefined,
    run: async (program) => (await import('./modes/serve.ts')).serve(await program.start()),
  },
  {
    name: 'worker on a queue',
    fits: () => true,
    run: async (program) =>
      (await import('./modes/run-worker.ts')).runWorker(await program.start()),
  },
];

/** Runs the program. @returns its exit code. */
export async function main(call: Call): Promise<number> {
  try {
    const program = new Program(call);
    const mode = MODES.find((one) => one.fits(program));
    return (await mode?.run(program)) ?? 1;
  } catch (error) {
    if (!isWorkerError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

/** A call, with its settings. They are read when a mode needs them: a command may run without valid settings. */
class Program implements Call {
  readonly environment: Call['environment'];
  readonly args: readonly string[];
  #flags: Arguments | undefined;
  #config: Config | undefined;

  constructor({ environment, args }: Call) {
    this.environment = environment;
    this.args = args;
  }

  get flags(): Arguments {
    return (this.#flags ??= parseArguments(this.args));
  }

  get config(): Config {
    return (this.#config ??= readConfig(this.environment));
  }

  /** Opens the log and says that the worker starts. */
  async start(): Promise<ModeStart> {
    const { flags, environment } = this;
    const { withManifestWarmUp } = await import('./modes/around-start.ts');
    const config = await withManifestWarmUp(this.config);
    const level = flags.logLevel ?? config.RUNPOD_LOG_LEVEL ?? config.RUNPOD_DEBUG_LEVEL;
    const logFormat = config.RUNPOD_ENDPOINT_ID === undefined ? 'pretty' : 'json';
    const log = await createLog({ level, format: logFormat });
    log.info(`--- Starting Serverless Worker |  Version ${VERSION} ---`);
    return { config, environment, flags, log, logFormat };
  }
}
