import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from '@jest/globals';
import { anchorsOf, codeWordsOf, DOCUMENTS, linksOf, type Document } from './documents.ts';
import { checkFence } from './fences.ts';
import { unknownVariablesIn } from './names.ts';
import { namesOption, optionsOf, SDK_FLAGS, workerCommands } from './programs.ts';

const byPath = new Map(DOCUMENTS.map((document) => [document.path, document]));
const each = DOCUMENTS.map((document) => [document.path, document] as const);
const fences = DOCUMENTS.flatMap((document) => document.fences);

test.each(fences.map((fence) => [`${fence.document}:${fence.line}`, fence] as const))(
  'the code block %s is valid',
  (_place, fence) => expect(checkFence(fence)).toEqual([]),
);

test.each(each)('the links of %s lead to a file, and to a heading in it', (_path, document) => {
  expect(linksOf(document).flatMap((target) => brokenLink(document, target))).toEqual([]);
});

function brokenLink({ path }: Document, target: string): string[] {
  if (/^(?:https?|mailto):/.test(target)) return [];
  const [file = '', anchor] = target.split('#');
  const linked = file === '' ? path : join(dirname(path), file);
  if (!existsSync(linked)) return [target];
  if (anchor === undefined) return [];
  const document = byPath.get(linked);
  return document && anchorsOf(document).has(anchor) ? [] : [target];
}

test.each(each)('the variables that %s names exist', (path) => {
  expect(unknownVariablesIn(readFileSync(path, 'utf8'))).toEqual([]);
});

const COMFYUI_OPTIONS = readFileSync('test_resources/comfyui/arguments-0.33.0.txt', 'utf8').split(
  /\s+/,
);
/** Those of `npm run bench` and the like. */
const isOptionOfScript = (option: string) => namesOption(SCRIPT_SOURCES, option);
const SCRIPT_SOURCES = globSync('scripts/{*,bench/*,chaos/*}.ts')
  .map((path) => readFileSync(path, 'utf8'))
  .join('\n');
const OTHER_OPTIONS = ['--max-old-space-size']; // Node

test.each(each)('the options between backticks in %s exist', (_path, document) => {
  const commands = ['', ...workerCommands('')];
  const groups = commands.flatMap((name) =>
    name === '' ? [] : [...workerCommands(name)].map((inner) => `${name} ${inner}`),
  );
  const known = new Set([
    ...SDK_FLAGS,
    ...[...commands, ...groups].flatMap((command) => [...optionsOf(command)]),
    ...COMFYUI_OPTIONS,
    ...OTHER_OPTIONS,
  ]);
  const named = codeWordsOf(document).flatMap((code) => /^(--[\w-]+)/.exec(code)?.[1] ?? []);
  expect(named.filter((one) => !known.has(one) && !isOptionOfScript(one))).toEqual([]);
});

test.each(each)('the scripts that %s calls with npm exist', (_path, document) => {
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
    scripts: Record<string, string>;
  };
  const named = codeWordsOf(document).flatMap((code) => /npm run ([\w:]+)/.exec(code)?.[1] ?? []);
  expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
});

test('every document of docs/ can be reached from the README', () => {
  const seen = new Set<string>();
  const visit = (path: string): void => {
    const document = byPath.get(path);
    if (!document || seen.has(path)) return;
    seen.add(path);
    for (const target of linksOf(document)) visit(join(dirname(path), target.split('#')[0] ?? ''));
  };
  visit('README.md');
  expect([...byPath.keys()].filter((path) => path.startsWith('docs/') && !seen.has(path))).toEqual(
    [],
  );
});

test('the guide for users of the Python worker has each of its variables and build arguments', () => {
  const guide = readFileSync('docs/switching.md', 'utf8');
  const names = [
    ...['BUCKET_ENDPOINT_URL', 'BUCKET_ACCESS_KEY_ID', 'BUCKET_SECRET_ACCESS_KEY'],
    ...['AWS_DEFAULT_REGION', 'COMFY_ORG_API_KEY', 'COMFY_LOG_LEVEL', 'COMFYUI_MANAGER_CONFIG'],
    ...['COMFY_API_AVAILABLE_INTERVAL_MS', 'COMFY_API_AVAILABLE_MAX_RETRIES'],
    ...['WEBSOCKET_RECONNECT_ATTEMPTS', 'WEBSOCKET_RECONNECT_DELAY_S', 'WEBSOCKET_TRACE'],
    ...['NETWORK_VOLUME_DEBUG', 'REFRESH_WORKER', 'SERVE_API_LOCALLY', 'PUBLIC_KEY', 'LD_PRELOAD'],
    ...['BASE_IMAGE', 'COMFYUI_VERSION', 'CUDA_VERSION_FOR_COMFY', 'ENABLE_PYTORCH_UPGRADE'],
    ...['PYTORCH_INDEX_URL', 'MODEL_TYPE', 'HUGGINGFACE_ACCESS_TOKEN'],
  ];
  expect(names.filter((name) => !guide.includes(`\`${name}\``))).toEqual([]);
});

test.each(globSync('.changeset/*.md'))('%s raises the version and says something', (path) => {
  const text = readFileSync(path, 'utf8');
  expect(text).toMatch(/^---\n'comfyui-worker': (?:major|minor|patch)\n---\n\n\S/);
});
