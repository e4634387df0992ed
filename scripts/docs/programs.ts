/** Checks commands of documents without running them: programs, their options, and the files, scripts and targets they name. */
import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import packageJson from '../../package.json' with { type: 'json' };
import { bakeTargets, imageSuffixes, isKnownVariable } from './names.ts';

/** Checks the words after the name of a program. @returns the problems. */
type Check = (args: readonly string[]) => readonly string[];

/** Programs that documents may use. Options that are not listed here are refused, so that a mistyped one is noticed. */
const PROGRAMS: Readonly<Record<string, Check>> = {
  'comfyui-worker': checkWorker,
  'comfy-node-install': installed('comfy-node-install'),
  'comfy-manager-set-mode': installed('comfy-manager-set-mode'),
  'comfy-smoke-start': installed('comfy-smoke-start'),
  'comfy-prepare': installed('comfy-prepare'),
  '/restore_snapshot.sh': installed('restore_snapshot.sh'),
  npm: checkNpm,
  npx: ([name, ...args]) =>
    name === 'comfyui-worker' ? checkWorker(args) : [`npx ${name}: unknown package`],
  node: ([file = '', ...args]) =>
    file === 'dist/handler/index.js' ? checkWorker(args) : mustExist(file),
  docker: checkDocker,
  curl: options('-s -S -f -H -d -o -X --data-binary --fail --max-time'),
  git: options('clone --depth'),
  aws: options('s3 ls cp sync --endpoint-url --region --exclude --include'),
  jq: options('-r -c -n -e'),
  base64: options('-w -d --decode'),
  'apt-get': options('update install -y --no-install-recommends'),
  pip: options('install'),
  python: options('-m'),
  // A document that explains the option alone.
  '--set': anything,
  cd: anything,
  cat: anything,
  cp: options('-r'),
  echo: anything,
  export: anything,
  ls: options('-l -la -lh'),
  mkdir: options('-p'),
  rm: options('-rf'),
};

/** @returns the problems of a command, each with the command in front. */
export function problemsOf([program = '', ...args]: readonly string[]): string[] {
  const check = Object.hasOwn(PROGRAMS, program) ? PROGRAMS[program] : undefined;
  if (!check && program.includes('/')) return mustExist(program);
  const problems = check ? check(args) : ['no rule for this program in scripts/docs/programs.ts'];
  return problems.map((problem) => `${[program, ...args].join(' ')}: ${problem}`);
}

function anything(): string[] {
  return [];
}

/** Options with one dash or two, and nothing about other words. */
function options(known: string): Check {
  const names = new Set(known.split(' '));
  return (args) =>
    args
      .filter((word) => /^-\w|^--\w/.test(word))
      .map((word) => word.replace(/=.*/, ''))
      .filter((name) => !names.has(name))
      .map((name) => `unknown option ${name}`);
}

/** A program that an image has. */
function installed(name: string): Check {
  return () => mustExist(`scripts/${name}`);
}

function mustExist(path: string): string[] {
  return existsSync(path) ? [] : [`${path} does not exist`];
}

/** The names of options in the help of a command of ours, for example of `models pull`. Empty when there is none. */
const helpOf = memoize((command: string): string => {
  const words = command === '' ? [] : command.split(' ');
  const args = ['handler/index.ts', ...words, '--help'];
  return execFileSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 20_000,
  });
});

const listedIn = (help: string, kind: RegExp) =>
  new Set([...help.matchAll(kind)].map(([, name = '']) => name));

/** The commands of the program, for example `run` and `models pull`. */
export const workerCommands = memoize((group: string): ReadonlySet<string> => {
  const commands = helpOf(group).split('Commands:')[1] ?? '';
  return listedIn(commands, /^ {2}(?!help )([a-z]+)/gm);
});

export function optionsOf(command: string): ReadonlySet<string> {
  return listedIn(helpOf(command), /(?<=\s)(--[a-z-]+)/g);
}

/** The flags of the Python SDK, which the worker takes without a command. */
export const SDK_FLAGS: ReadonlySet<string> = new Set(
  [...readFileSync('handler/flags.ts', 'utf8').matchAll(/^ {2}(\w+): \{ type: '/gm)].map(
    ([, name = '']) => `--${name}`,
  ),
);

function checkWorker(args: readonly string[]): readonly string[] {
  const given = args
    .filter((word) => word.startsWith('--'))
    .map((word) => word.split('=')[0] ?? '');
  const [first = '', second = ''] = args;
  if (first === '--help' || first === '--version') return [];
  if (first === '' || first.startsWith('--') || first === 'start')
    return given.filter((flag) => !SDK_FLAGS.has(flag)).map((flag) => `unknown flag ${flag}`);
  if (!workerCommands('').has(first)) return [`no command ${first}`];
  const subcommands = workerCommands(first);
  if (subcommands.size > 0 && !subcommands.has(second)) return [`no command ${first} ${second}`];
  const known = optionsOf(subcommands.size > 0 ? `${first} ${second}` : first);
  return given.filter((flag) => !known.has(flag)).map((flag) => `unknown option ${flag}`);
}

const SCRIPTS: Readonly<Record<string, string>> = packageJson.scripts;

function checkNpm(args: readonly string[]): readonly string[] {
  const [command = '', ...rest] = args;
  if (command === 'ci' || command === 'pack') return [];
  if (command === 'install') return options('-g')(rest);
  const [name = '', ...scriptArgs] = command === 'run' ? rest : args;
  const script = SCRIPTS[name];
  if (script === undefined) return [`there is no script ${name} in package.json`];
  const forScript = scriptArgs.slice(scriptArgs.indexOf('--') + 1);
  if (name === 'start') return checkWorker(forScript);
  return [...filesIn(forScript), ...unknownOptions(name, script, forScript)];
}

/** Arguments that are files of this repository. */
function filesIn(args: readonly string[]): string[] {
  return args
    .filter((word) => /^(?:handler|lib|scripts|test_resources)\b/.test(word))
    .flatMap(mustExist);
}

/** Options that the source of a script does not name. Jest knows the options of `npm test`. */
function unknownOptions(name: string, script: string, args: readonly string[]): readonly string[] {
  if (name === 'test') return options('-t --watch')(args);
  const [, file = ''] = /node (?:--\S+ )*(scripts\/\S+\.ts)/.exec(script) ?? [];
  const sources = globSync([file, file.replace(/\.ts$/, '/*.ts')]);
  const source = sources.map((path) => readFileSync(path, 'utf8')).join('\n');
  return args
    .filter((word) => word.startsWith('--') && !namesOption(source, word))
    .map((option) => `${file} knows no ${option}`);
}

/** Whether a script has an option, to judge by its source. */
export function namesOption(source: string, option: string): boolean {
  const name = option.slice(2);
  return new RegExp(`['"]?\\b${name}['"]?: \\{ type|['"]${option}['"]`).test(source);
}

const DOCKER: Readonly<Record<string, Check>> = {
  run: (args) => [
    ...options('--rm -d -it --gpus -p -e -v --name --entrypoint --env-file --platform --shm-size')(
      args,
    ),
    ...imagesIn(args),
    ...variablesIn(args),
  ],
  build: (args) => [
    ...options('-t -f --platform --build-arg --secret --build-context --target --load --push')(
      args,
    ),
    ...imagesIn(args),
  ],
  buildx: ([command = '', ...args]) =>
    command === 'bake'
      ? [
          ...options('--push --print --load --set -f')(args),
          ...afterOptions(args, ['--set', '-f'])
            .filter((target) => !bakeTargets().has(target))
            .map((target) => `docker-bake.hcl has no target ${target}`),
        ]
      : checkDocker([command, ...args]),
  compose: (args) => [
    ...options('-f -d --build up down logs exec run')(args),
    ...args.flatMap((word, at) => (args[at - 1] === '-f' ? mustExist(word) : [])),
  ],
  exec: anything,
  logs: anything,
  push: imagesIn,
  tag: imagesIn,
  login: anything,
};

function checkDocker([command = '', ...args]: readonly string[]): readonly string[] {
  const check = DOCKER[command];
  return check ? check(args) : [`no rule for docker ${command}`];
}

/** Words that are neither options nor their values. */
function afterOptions(args: readonly string[], withValue: readonly string[]): string[] {
  return args.filter(
    (word, at) => !word.startsWith('-') && !withValue.includes(args[at - 1] ?? ''),
  );
}

/** Images of this project must have a tag that the bake file makes. */
function imagesIn(args: readonly string[]): string[] {
  const tags = args.flatMap((word) => /\/comfyui-worker:(\S+)$/.exec(word)?.[1] ?? []);
  return tags
    .filter((tag) => !imageSuffixes().some((suffix) => tag.endsWith(`-${suffix}`)))
    .map((tag) => `docker-bake.hcl makes no image with the tag ${tag}`);
}

function variablesIn(args: readonly string[]): string[] {
  const names = args.flatMap((word, at) =>
    args[at - 1] === '-e' ? [word.split('=')[0] ?? ''] : [],
  );
  return names.filter((name) => !isKnownVariable(name)).map((name) => `unknown variable ${name}`);
}

function memoize<T>(compute: (key: string) => T): (key: string) => T {
  const known = new Map<string, T>();
  return (key) => {
    const value = known.get(key) ?? compute(key);
    known.set(key, value);
    return value;
  };
}
