import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { isWorkerError } from '../errors.ts';
import { VERSION } from '../version.ts';
import { describeExitCodes, endingFor, exitCode } from './conclude.ts';
import type { CliContext, ComfyOptions, ServeOptions } from './context.ts';
import type { DoctorOptions } from './doctor.ts';
import type { ApplyOptions, InitOptions } from './models/manifest.ts';
import type { ModelsOptions, PruneOptions, PullOptions } from './models/models.ts';
import type { RunOptions } from './run.ts';
import type { SubmitOptions } from './submit.ts';

/** Runs the command line. @returns the exit code. */
export async function runCli(args: readonly string[], context: CliContext): Promise<number> {
  let code = exitCode('done');
  const program = createProgram(context, (ending) => (code = ending));
  try {
    await program.parseAsync(args, { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return exitCode(error.exitCode === 0 ? 'done' : 'usage');
    if (!isWorkerError(error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return exitCode(endingFor(error.code));
  }
}

type OnEnd = (exitCode: number) => void;

/** Each command loads its modules when it is used. */
function createProgram(context: CliContext, onEnd: OnEnd): Command {
  const program = new Command('comfyui-worker')
    .description('Runs ComfyUI workflows as a service. Without a command it is the worker itself.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(--help lists commands and options)')
    .addHelpText('afterAll', describeExitCodes());
  addStart(program, context, onEnd);
  addServe(program, context, onEnd);
  addRun(program, context, onEnd);
  addSubmit(program, context, onEnd);
  addComfy(program, context, onEnd);
  addDoctor(program, context, onEnd);
  addModels(program, context, onEnd);
  addManifest(program, context, onEnd);
  return program;
}

function addStart(program: Command, context: CliContext, onEnd: OnEnd): void {
  program
    .command('start')
    .description('the worker, as without a command; takes the flags of the Python SDK')
    .argument('[flags...]')
    .allowUnknownOption()
    .action(async (flags: string[]) => onEnd(await context.start(flags)));
}

function addServe(program: Command, context: CliContext, onEnd: OnEnd): void {
  program
    .command('serve')
    .description('the RunPod-compatible API on this machine, with a page to try workflows')
    .option('--port <number>', 'where to listen; 0 is any that is free (API_PORT, or 8000)', toPort)
    .option('--host <address>', 'on which address (API_HOST, or 127.0.0.1)')
    .option('--simulate', 'with the embedded ComfyUI behind it', false)
    .action(async (options: ServeOptions) => onEnd(await context.serve(options)));
}

function addRun(program: Command, context: CliContext, onEnd: OnEnd): void {
  addJobOptions(program.command('run'))
    .description('one job, in the ComfyUI at COMFY_URL')
    .option('--simulate', 'in the embedded ComfyUI: real protocol, no models')
    .action(async (file: string, options: RunOptions) => {
      const { run } = await import('./run.ts');
      onEnd(await run(file, options, context));
    });
}

function addSubmit(program: Command, context: CliContext, onEnd: OnEnd): void {
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
      onEnd(await submit(file, options, context));
    });
}

function addComfy(program: Command, context: CliContext, onEnd: OnEnd): void {
  program
    .command('comfy')
    .description('the embedded ComfyUI alone: real protocol and real pixels, no models')
    .option('--port <number>', 'where to listen; 0 is any that is free (8188)', toPort)
    .option('--host <address>', 'on which address (127.0.0.1)')
    .option('--front-end-root <folder>', "the build of ComfyUI's editor, to serve at /")
    .option('--folder <folder>', 'where files are kept; otherwise they are deleted at the end')
    .addOption(
      new Option('--version-of <version>', 'the ComfyUI it speaks like (0.33.0)').choices([
        '0.8.0',
        '0.33.0',
      ]),
    )
    .action(async (options: ComfyOptions & { readonly versionOf?: ComfyOptions['version'] }) => {
      const { versionOf, ...rest } = options;
      onEnd(await context.comfy({ ...rest, ...(versionOf && { version: versionOf }) }));
    });
}

function addDoctor(program: Command, context: CliContext, onEnd: OnEnd): void {
  program
    .command('doctor')
    .description('checks this machine and its settings, with advice for each problem')
    .option('--json', 'print the findings as JSON to stdout')
    .option('--forget-deadly-jobs', 'let jobs that killed ComfyUI run again')
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import('./doctor.ts');
      onEnd(await doctor(options, context));
    });
}

function addModels(program: Command, context: CliContext, onEnd: OnEnd): void {
  const models = program.command('models').description('the model files of ComfyUI');
  addPlaces(models.command('pull'))
    .description('fetch one model, or without a URL all of the manifest')
    .argument('[url]', 'at Hugging Face, Civitai, Azure, any web server, or s3://bucket/key')
    .option('--folder <name>', 'the model folder, for example checkpoints')
    .option('--filename <name>', 'instead of the last part of the URL')
    .option('--revision <ref>', 'commit, branch or tag at Hugging Face')
    .option('--sha256 <hex>', 'refuse other bytes')
    .action(async (url: string | undefined, options: PullOptions) => {
      onEnd(await (await import('./models/models.ts')).pullModels(url, options, context));
    });
  addPlaces(models.command('list'))
    .description('the models that are there, and those of the manifest that are missing')
    .action(async (options: ModelsOptions) => {
      onEnd(await (await import('./models/models.ts')).listModels(options, context));
    });
  addPlaces(models.command('verify'))
    .description('check size and SHA-256 of all models of the manifest')
    .action(async (options: ModelsOptions) => {
      onEnd(await (await import('./models/models.ts')).verifyModels(options, context));
    });
  addPlaces(models.command('prune'))
    .description('remove what broken-off downloads have left')
    .option('--unlisted', 'also remove models that the manifest does not name')
    .option('--dry-run', 'only say what would be removed')
    .action(async (options: PruneOptions) => {
      onEnd(await (await import('./models/models.ts')).pruneModels(options, context));
    });
}

function addManifest(program: Command, context: CliContext, onEnd: OnEnd): void {
  const manifest = program
    .command('manifest')
    .description('a file that names models, node packs and packages of an installation');
  addPlaces(manifest.command('init'))
    .description('write a manifest')
    .argument(
      '<from>',
      'folder of a ComfyUI, snapshot of ComfyUI-Manager, or workflow of the editor',
    )
    .option('--force', 'overwrite a manifest that is there')
    .option('--offline', 'do not ask Hugging Face and Civitai for revisions and hashes')
    .action(async (from: string, options: InitOptions) => {
      onEnd(await (await import('./models/manifest.ts')).initManifest(from, options, context));
    });
  addPlaces(manifest.command('lock'))
    .description('ask the sites for revisions, sizes and hashes, and write the lock file')
    .action(async (options: ModelsOptions) => {
      onEnd(await (await import('./models/manifest.ts')).lock(options, context));
    });
  addPlaces(manifest.command('apply'))
    .description('install packages and node packs, and fetch models')
    .addOption(
      new Option('--phase <name>', 'only this part').choices([
        'software',
        'before-start',
        'after-start',
      ]),
    )
    .option('--comfy <folder>', 'the folder of ComfyUI', '/comfyui')
    .option('--python <path>', 'its interpreter (that of VIRTUAL_ENV, else python3)')
    .action(async (options: ApplyOptions) => {
      onEnd(await (await import('./models/manifest.ts')).applyManifest(options, context));
    });
}

function addPlaces(command: Command): Command {
  return command
    .option('--manifest <file>', 'the manifest (MANIFEST_FILE, or manifest.yaml)')
    .option('--models <folder>', "ComfyUI's folder of models (MODELS_DIR, or /comfyui/models)")
    .option('--quiet', 'print problems only');
}

function addJobOptions(command: Command): Command {
  return command
    .argument('<file>', 'a job, an input or a workflow exported from ComfyUI as API; - is stdin')
    .option('--image <name=path>', 'an input image; may be repeated', collect)
    .option(
      '--set <node.input=value>',
      'set an input; the node by id, title or class, the value as JSON or else as text; may be repeated',
      collect,
    )
    .option('--out <folder>', 'where images are saved; no file is overwritten', './output')
    .option('--timeout <seconds>', 'cancel the job after that long', toSeconds, 3600)
    .option('--json', 'print the result as one line of JSON to stdout')
    .option('--quiet', 'print problems only');
}

function toPort(text: string): number {
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
