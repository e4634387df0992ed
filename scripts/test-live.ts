/**
 * Runs the tests of `handler/test/live` against a real ComfyUI. At the end it lists what was skipped and why, and the files
 * that were left in ComfyUI's folders.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../lib/clock.ts';
import { SharedFolder } from '../lib/comfy/local/shared-folder.ts';
import { comfySettings } from '../lib/comfy/settings.ts';
import { ComfyClient } from '../lib/comfy/transport/client.ts';
import { readConfig } from '../lib/config.ts';
import { describeError } from '../lib/errors.ts';
import { VERSION } from '../lib/version.ts';

const USAGE = `npm run test:live -- --comfy URL [options] [test files]

  --comfy URL            a running ComfyUI, over http
  --input-folder PATH    its folders on this disk; default: found by asking it
  --output-folder PATH
  --checkpoint NAME      for the sampler; default: the first one it lists
  --timeout SECONDS      for one test; default 300
`;

interface Options {
  readonly url: string;
  readonly inputFolder: string | undefined;
  readonly outputFolder: string | undefined;
  readonly checkpoint: string | undefined;
  readonly timeoutS: number;
  readonly files: readonly string[];
}

interface Folders {
  readonly input: string;
  readonly output: string;
}

/** The report of jest with `--json`. */
interface Results {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[];
  }[];
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  let options: Options;
  try {
    options = parseArguments(args);
  } catch (error) {
    console.error(`${String(error)}\n\n${USAGE}`);
    return 2;
  }
  const server = await describeServer(options.url).catch((error: unknown) => error);
  if (typeof server !== 'string') {
    console.error(`No ComfyUI answers at ${options.url}: ${describeError(server)}`);
    return 2;
  }
  console.log(`Worker ${VERSION}, Node ${process.version}, ${server}`);
  const folders = await findFolders(options);
  const before = await listing(folders);
  const results = await runTests(options, folders);
  const left = (await listing(folders)).filter(
    (path) => !before.includes(path) && path !== join(folders?.output ?? '', 'jobs'),
  );
  console.log(summary(results, server));
  if (!folders) console.log('Its folders are not on this disk: files of these jobs stay there.');
  if (left.length > 0) console.log(['Left behind:', ...left].join('\n  '));
  return results.success && left.length === 0 ? 0 : 1;
}

/** @throws Error with a message for the user. */
function parseArguments(args: readonly string[]): Options {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      comfy: { type: 'string' },
      'input-folder': { type: 'string' },
      'output-folder': { type: 'string' },
      checkpoint: { type: 'string' },
      timeout: { type: 'string', default: '300' },
    },
  });
  const url = values.comfy?.replace(/\/+$/, '');
  if (!url?.startsWith('http:')) throw new Error('Expected --comfy to be an http URL');
  return {
    url,
    inputFolder: values['input-folder'],
    outputFolder: values['output-folder'],
    checkpoint: values.checkpoint,
    timeoutS: Number(values.timeout),
    files: positionals,
  };
}

async function describeServer(url: string): Promise<string> {
  const response = await fetch(`${url}/system_stats`);
  const { system, devices } = (await response.json()) as {
    system: Record<string, string>;
    devices: { name: string }[];
  };
  const { comfyui_version: version = '?', python_version: python = '?' } = system;
  const parts = [`Python ${python.split(' ')[0] ?? ''}`, `torch ${system.pytorch_version ?? '?'}`];
  return `ComfyUI ${version} at ${url} (${[...parts, ...devices.map(({ name }) => name)].join(', ')})`;
}

/** As the worker finds them. Undefined unless it sees both. */
async function findFolders({ url, inputFolder, outputFolder }: Options) {
  const settings = comfySettings(readConfig({ COMFY_URL: url }));
  await using client = new ComfyClient(settings, systemClock);
  const find = (type: 'input' | 'output', configured: string | undefined) =>
    new SharedFolder(client, { type, configured, socket: { clientId: undefined } }).path(
      AbortSignal.timeout(60_000),
    );
  const input = await find('input', inputFolder);
  const output = await find('output', outputFolder);
  return input === undefined || output === undefined ? undefined : { input, output };
}

/** Files and folders. The folder of all job folders stays. */
async function listing(folders: Folders | undefined): Promise<readonly string[]> {
  const lists = Object.values(folders ?? {}).map(async (folder: string) => {
    const names = await readdir(folder, { recursive: true });
    return names.map((name) => join(folder, name));
  });
  return (await Promise.all(lists)).flat();
}

/** One file after the other: the tests watch the queue of the server. */
async function runTests(options: Options, folders: Folders | undefined): Promise<Results> {
  const { url, checkpoint, timeoutS, files, inputFolder, outputFolder } = options;
  const environment = {
    ...(inputFolder !== undefined && { COMFY_INPUT_DIR: inputFolder }),
    ...(outputFolder !== undefined && { COMFY_OUTPUT_DIR: outputFolder }),
  };
  const liveComfy = { url, folders, checkpoint, environment };
  const folder = await mkdtemp(join(tmpdir(), 'test-live-'));
  const outputFile = join(folder, 'results.json');
  const jest = spawn(
    process.execPath,
    [
      ...['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'],
      ...['node_modules/jest/bin/jest.js', '--runInBand', '--verbose', '--json'],
      ...['--outputFile', outputFile, '--testTimeout', String(timeoutS * 1000)],
      ...['--globals', JSON.stringify({ liveComfy })],
      ...(files.length > 0 ? files : ['handler/test/live/']),
    ],
    { stdio: ['ignore', 'ignore', 'inherit'], cwd: join(import.meta.dirname, '..') },
  );
  await once(jest, 'exit');
  try {
    return JSON.parse(await readFile(outputFile, 'utf8')) as Results;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Numbers by file, then what was skipped. */
function summary({ testResults }: Results, server: string): string {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const counts = (of: typeof tests) =>
    ['passed', 'failed', 'pending'].map((status) =>
      String(of.filter((test) => test.status === status).length).padStart(8),
    );
  const rows = testResults.map(({ name, assertionResults }) => [
    (name.split('/').at(-1) ?? name).padEnd(28),
    ...counts([...assertionResults]),
  ]);
  const table = [
    ['file'.padEnd(28), '  passed', '  failed', ' skipped'],
    ...rows.sort(([a = ''], [b = '']) => a.localeCompare(b)),
    ['all'.padEnd(28), ...counts(tests)],
  ];
  const skipped = tests.filter(({ status }) => status === 'pending').map(({ title }) => title);
  return [server, ...table.map((row) => row.join('')), ...skipped].join('\n');
}
