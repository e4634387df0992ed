import { systemClock } from '../lib/clock.ts';
import type { CliParts, LocalRun, RunJobOptions, ServeOptions } from '../lib/cli/parts.ts';
import { runCli } from '../lib/cli/program.ts';
import { readConfig, type Config } from '../lib/config.ts';
import { createLog, type Logger } from '../lib/log.ts';
import type { Job } from '../lib/queues/queue.ts';
import { openWorkerBucket } from '../lib/storage/s3/store.ts';
import { startLocalJobs } from './local-jobs.ts';
import { main, type MainOptions } from './main.ts';
import type { Timings } from './job-scope.ts';

type Environment = MainOptions['environment'];

/** The command line, with the worker behind it. @returns the exit code. */
export function runCommand({ environment, args }: MainOptions): Promise<number> {
  const parts: CliParts = {
    environment,
    start: (flags) => main({ environment, args: flags }),
    serve: (options) => serve(environment, options),
    runJob: (job, options) => runJob(environment, job, options),
    openStorage: async (config) =>
      openWorkerBucket(config, { clock: systemClock, log: await createToolLog(config) }),
  };
  return runCli(args, parts);
}

function serve(environment: Environment, { host, port, simulate }: ServeOptions): Promise<number> {
  const args = [
    '--rp_serve_api',
    ...(host === undefined ? [] : ['--rp_api_host', host]),
    ...(port === undefined ? [] : ['--rp_api_port', String(port)]),
    ...(simulate ? ['--simulate'] : []),
  ];
  return main({ environment, args });
}

async function runJob(
  environment: Environment,
  job: Job,
  { simulate, signal, onProgress }: RunJobOptions,
): Promise<LocalRun> {
  const told: { timings?: Timings } = {};
  const config = readConfig({
    RESULT_MAX_BYTES: LARGEST_RESULT,
    ...environment,
    ...(simulate && { COMFY_URL: undefined }),
    PROGRESS_INTERVAL_MS: '50',
    REFRESH_WORKER: '',
  });
  await using jobs = await startLocalJobs({
    config,
    log: await createToolLog(config),
    simulate,
    onTimings: (_jobId, timings) => (told.timings = timings),
  });
  return { result: await jobs.queue.submit(job, { signal, onProgress }), ...told };
}

/** To stderr, and only errors unless more is asked for: the command itself tells how its job goes. */
function createToolLog({ RUNPOD_LOG_LEVEL: level = 'error' }: Config): Promise<Logger> {
  return createLog({ level, format: 'pretty', destination: process.stderr });
}

/** Nobody limits what stays in this process; a text of JSON can hardly be longer. */
const LARGEST_RESULT = '400000000';
