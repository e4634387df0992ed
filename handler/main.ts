import { readConfig } from '../lib/config.ts';
import { isWorkerError } from '../lib/errors.ts';
import { createLog } from '../lib/log.ts';
import { parseArguments } from '../lib/queues/runpod/arguments.ts';
import { VERSION } from '../lib/version.ts';
import { logFormat, type Mode } from './mode.ts';

export interface MainOptions {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly args: readonly string[];
}

/** The whole program. @returns the exit code. */
export async function main({ environment, args }: MainOptions): Promise<number> {
  try {
    const flags = parseArguments(args);
    const config = readConfig(environment);
    const level = flags.logLevel ?? config.RUNPOD_LOG_LEVEL ?? config.RUNPOD_DEBUG_LEVEL;
    const log = await createLog({ level, format: logFormat(config) });
    log.info(`--- Starting Serverless Worker |  Version ${VERSION} ---`);
    return await run({ config, flags, log });
  } catch (error) {
    if (!isWorkerError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

/** One way or another; each loads only what it needs. */
async function run(mode: Mode): Promise<number> {
  if (mode.flags.testInput !== undefined) return (await import('./run-one-job.ts')).runOneJob(mode);
  if (servesApi(mode)) return (await import('./serve.ts')).serve(mode);
  return (await import('./run-worker.ts')).runWorker(mode);
}

/** Where no platform gives jobs, people do. */
function servesApi({ flags, config }: Mode): boolean {
  const isAsked = flags.serveApi !== undefined || config.SERVE_API_LOCALLY;
  return isAsked || config.RUNPOD_WEBHOOK_GET_JOB === undefined;
}
