import { readFile } from 'node:fs/promises';
import type { CliContext } from '../../lib/cli/context.ts';
import { runCli } from '../../lib/cli/program.ts';
import { LOCAL_CAPABILITIES } from '../../lib/comfy/local/local-comfy.ts';
import { systemClock } from '../../lib/clock.ts';
import { readConfig, type Config } from '../../lib/config.ts';
import { createLog, type Logger } from '../../lib/log.ts';
import { openWorkerBucket } from '../../lib/storage/s3/store.ts';
import { DeadlyJobs } from '../deadly-jobs.ts';
import type { Timings } from '../job-scope.ts';
import { startLocalJobs } from './local-jobs.ts';

interface CommandCall {
  readonly environment: CliContext['environment'];
  readonly args: readonly string[];
}

/**
 * Runs a command of the command line. `main` runs the program with other arguments: `start` and `serve` are modes of it.
 * @returns the exit code.
 */
export function runCommand(
  { environment, args }: CommandCall,
  main: (call: CommandCall) => Promise<number>,
): Promise<number> {
  return runCli(args, {
    environment,
    backend: LOCAL_CAPABILITIES,
    start: (flags) => main({ environment, args: flags }),
    serve: ({ host, port, simulate }) => {
      const flags = [
        '--rp_serve_api',
        ...(host === undefined ? [] : ['--rp_api_host', host]),
        ...(port === undefined ? [] : ['--rp_api_port', String(port)]),
        ...(simulate ? ['--simulate'] : []),
      ];
      return main({ environment, args: flags });
    },
    comfy: async (options) => (await import('./comfy.ts')).serveComfy(options),
    runJob: async (job, { simulate, signal, onProgress }) => {
      const config = readConfig({
        RESULT_MAX_BYTES: MAX_LOCAL_RESULT_BYTES,
        ...environment,
        ...(simulate && { COMFY_URL: undefined }),
        PROGRESS_INTERVAL_MS: '50',
        REFRESH_WORKER: '',
      });
      const log = await createCommandLog(config);
      const phases: { timings?: Timings } = {};
      const onTimings = (_jobId: string, timings: Timings) => (phases.timings = timings);
      await using jobs = await startLocalJobs({ config, log, simulate, onTimings });
      return { result: await jobs.queue.submit(job, { signal, onProgress }), ...phases };
    },
    deadlyJobs: (config) => new DeadlyJobs(config),
    comfyMemory: async ({ COMFY_PID_FILE: file }) => {
      const { measureMemory } = await import('../../lib/comfy/local/supervisor/process-group.ts');
      return await measureMemory(Number(await readFile(file, 'utf8').catch(() => NaN)));
    },
    openWorkerBucket: async (config) =>
      openWorkerBucket(config, { clock: systemClock, log: await createCommandLog(config) }),
  });
}

/** Logs errors to stderr, and more only when the environment asks for it: the command itself reports on its job. */
function createCommandLog({ RUNPOD_LOG_LEVEL: level = 'error' }: Config): Promise<Logger> {
  return createLog({ level, format: 'pretty', destination: process.stderr });
}

/** No platform limits a result that stays in this process. A JavaScript string can hardly be longer. */
const MAX_LOCAL_RESULT_BYTES = '400000000';
