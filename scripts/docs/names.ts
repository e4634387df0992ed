/** Names that documents may use: variables, bake targets, tags of images. */
import { globSync, readFileSync } from 'node:fs';
import { VARIABLES } from '../../lib/config.ts';
import { models } from '../images/model-data.ts';

/** Environment variables that `lib/config.ts` does not have, and who reads them. */
const OTHER_VARIABLES: Readonly<Record<string, string>> = {
  RUNPOD_API_KEY: 'the command `submit`',
  RUNPOD_ENDPOINT_BASE_URL: "RunPod's Python client",
  UV_THREADPOOL_SIZE: 'Node',
  NODE_EXTRA_CA_CERTS: 'Node',
  LD_PRELOAD: 'the dynamic linker; set by scripts/start.sh',
  HTTP_PROXY: 'many programs; not by this one',
  HTTPS_PROXY: 'the same',
  NO_PROXY: 'the same',
  AWS_ACCESS_KEY_ID: 'the AWS command line',
  AWS_SECRET_ACCESS_KEY: 'the AWS command line',
};

/** Names of continuous integration: secrets and variables of the repository that the workflows read. */
const WORKFLOW_NAMES = new Set(
  globSync('.github/workflows/*.yml')
    .flatMap((path) => [...readFileSync(path, 'utf8').matchAll(/\b(?:secrets|vars|env)\.(\w+)/g)])
    .map(([, name = '']) => name),
);

const read = (path: string) => readFileSync(path, 'utf8');

/**
 * Arguments and variables of the Dockerfile, variables of the bake and compose files, and those that the scripts in the image
 * read.
 */
const IMAGE_NAMES = new Set(
  [
    ...read('Dockerfile').matchAll(/^ARG (\w+)|^(?:ENV| {4,}) *([A-Z_]+)=/gm),
    ...read('docker-bake.hcl').matchAll(/^variable "(\w+)"/gm),
    ...['docker-compose.yml', ...globSync('scripts/{start.sh,comfy-*,gpu-preflight}')]
      .map(read)
      .flatMap((text) => [...text.matchAll(/\$\{?([A-Z]\w+)/g)]),
  ].map(([, name, other]) => name ?? other ?? ''),
);

export const isKnownVariable = (name: string): boolean =>
  Object.hasOwn(VARIABLES, name) ||
  Object.hasOwn(OTHER_VARIABLES, name) ||
  WORKFLOW_NAMES.has(name) ||
  IMAGE_NAMES.has(name);

/** Words in capitals with an underscore that name something else. */
const NO_VARIABLES: ReadonlySet<string> = new Set([
  ...['IN_QUEUE', 'IN_PROGRESS', 'TIMED_OUT'], // states of a job
  ...['PING_NOT_SET', 'RETRY_POLICIES', 'VALIDATE_INPUTS'],
]);

/** Words of a text that look like environment variables and are none that this project knows. `export` makes a new one. */
export function unknownVariablesIn(text: string): string[] {
  const names = [...text.matchAll(/(?<![\w$@/.-]|export )[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?!\w|\*)/g)];
  return names
    .map(([name]) => name)
    .filter((name) => !isKnownVariable(name) && !NO_VARIABLES.has(name));
}

const modelNames = () => models().map(({ name }) => name);
const bakeNames = (pattern: RegExp) =>
  [...read('docker-bake.hcl').matchAll(pattern)].map(([, name = '']) => name);

export function bakeTargets(): ReadonlySet<string> {
  return new Set([...bakeNames(/^(?:target|group) "([^"_]+)"/gm), ...modelNames()]);
}

/** The last parts of the tags of images. */
export function imageSuffixes(): string[] {
  return [...bakeNames(/tag\("([^"]+)"\)/g), ...modelNames()];
}
