import { Command, CommanderError, Option } from 'commander';
import { isWorkerError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { describeExitCodes, endingOf, exitCode } from './exit-codes.ts';
import { addJobOptions, toPort } from './job-options.ts';
import type { CliParts, ServeOptions } from './parts.ts';
import type { RunOptions } from './run.ts';
import type { SubmitOptions } from './submit.ts';
import type { DoctorOptions } from './doctor.ts';

/** Does what the command line says. @returns the exit code. */
export async function runCli(args: readonly string[], parts: CliParts): Promise<number> {
  let code = exitCode('done');
  const program = createProgram(parts, (ending) => (code = ending));
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return exitCode(error.exitCode === 0 ? 'done' : 'usage');
    if (!isWorkerError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCode(endingOf(error.code));
  }
}

type OnEnd = (exitCode: number) => void;

/** Each command loads what it needs when it is used. */
function createProgram(parts: CliParts, onEnd: OnEnd): Command {
  const program = new Command('comfyui-worker')
    .description('Runs ComfyUI workflows as a service. Without a command it is the worker itself.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(--help tells what there is)')
    .addHelpText('afterAll', describeExitCodes());
  addStart(program, parts, onEnd);
  addServe(program, parts, onEnd);
  addRun(program, parts, onEnd);
  addSubmit(program, parts, onEnd);
  addDoctor(program, parts, onEnd);
  return program;
}

function addStart(program: Command, parts: CliParts, onEnd: OnEnd): void {
  program
    .command('start')
    .description('the worker, as without a command; takes the flags of the Python SDK')
    .argument('[flags...]')
    .allowUnknownOption()
    .action(async (flags: string[]) => onEnd(await parts.start(flags)));
}

function addServe(program: Command, parts: CliParts, onEnd: OnEnd): void {
  program
    .command('serve')
    .description('the RunPod-compatible API on this machine, with a page to try workflows')
    .option('--port <number>', 'where to listen; 0 is any that is free (API_PORT, or 8000)', toPort)
    .option('--host <address>', 'on which address (API_HOST, or 127.0.0.1)')
    .option('--simulate', 'with the embedded ComfyUI behind it', false)
    .action(async (options: ServeOptions) => onEnd(await parts.serve(options)));
}

function addRun(program: Command, parts: CliParts, onEnd: OnEnd): void {
  addJobOptions(program.command('run'))
    .description('one job, in the ComfyUI at COMFY_URL')
    .option('--simulate', 'in the embedded ComfyUI: real protocol, no models')
    .action(async (file: string, options: RunOptions) => {
      const { run } = await import('./run.ts');
      onEnd(await run(file, options, parts));
    });
}

function addSubmit(program: Command, parts: CliParts, onEnd: OnEnd): void {
  addJobOptions(program.command('submit'))
    .description('one job, to an endpoint on RunPod or to a local API')
    .requiredOption('--endpoint <id|url>', 'the id on RunPod, or a URL like http://127.0.0.1:8000')
    .option('--api-key <key>', 'instead of RUNPOD_API_KEY; others on this machine may see it')
    .option('--webhook <url>', 'where the endpoint posts the result')
    .addOption(new Option('--watch', 'follow the job to its end and save its images'))
    .addOption(
      new Option('--sync', 'the same in one request, for jobs of seconds').conflicts('watch'),
    )
    .action(async (file: string, options: SubmitOptions) => {
      const { submit } = await import('./submit.ts');
      onEnd(await submit(file, options, parts));
    });
}

function addDoctor(program: Command, parts: CliParts, onEnd: OnEnd): void {
  program
    .command('doctor')
    .description('checks what a worker needs here, and says what to do about each problem')
    .option('--json', 'tell the findings as JSON on stdout')
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import('./doctor.ts');
      onEnd(await doctor(options, parts));
    });
}
