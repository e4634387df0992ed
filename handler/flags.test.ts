import { expect, test } from '@jest/globals';
import { isWorkerError } from '../lib/errors.ts';
import { parseArguments } from './flags.ts';

test('flags are read with a blank and with an equals sign', () => {
  expect(parseArguments(['--test_input', '{"input":1}', '--rp_log_level=DEBUG'])).toEqual({
    testInput: '{"input":1}',
    logLevel: 'debug',
    debug: false,
    serveApi: undefined,
    simulate: false,
  });
  expect(parseArguments(['--test_input={"a":"b=c"}', '--rp_debugger'])).toMatchObject({
    testInput: '{"a":"b=c"}',
    debug: true,
  });
});

test('the API starts only with its flag, and settings without a flag are left to the environment', () => {
  expect(parseArguments(['--rp_serve_api']).serveApi).toEqual({
    port: undefined,
    host: undefined,
    concurrency: 1,
  });
  const all = '--rp_serve_api --rp_api_port 0 --rp_api_host=0.0.0.0 --rp_api_concurrency 4';
  expect(parseArguments(all.split(' ')).serveApi).toEqual({
    port: 0,
    host: '0.0.0.0',
    concurrency: 4,
  });
  expect(parseArguments(['--rp_api_port=9000']).serveApi).toBeUndefined();
});

test('without arguments nothing is set', () => {
  expect(parseArguments([])).toEqual({
    testInput: undefined,
    logLevel: undefined,
    debug: false,
    serveApi: undefined,
    simulate: false,
  });
});

test('unknown flags and words are ignored and hide nothing', () => {
  const argv = ['run', '--verbose', '--port', '80', '-x', '--', '--test_input', 'no'];
  expect(parseArguments(argv).testInput).toBeUndefined();
  expect(parseArguments(['--other', '--test_input', '-1', 'word']).testInput).toBe('-1');
});

test('the last of a repeated flag counts', () => {
  expect(parseArguments(['--test_input', 'a', '--test_input=b']).testInput).toBe('b');
});

test.each([
  ['NOTSET', 'silent'],
  ['trace', 'trace'],
  ['WARNING', 'warn'],
] as const)('--rp_log_level %s means %s', (name, level) => {
  expect(parseArguments(['--rp_log_level', name]).logLevel).toBe(level);
});

test('all flags that do not parse are reported in one error', () => {
  const argv =
    '--rp_log_level LOUD --rp_api_port 70000 --rp_api_concurrency none --rp_api_host --verbose --test_input';
  expect(problemsOf(argv.split(' '))).toEqual([
    '--test_input needs a value',
    expect.stringMatching(/^--rp_log_level must be TRACE.*, got "LOUD"$/),
    '--rp_api_port must be a whole number from 0 to 65535, got "70000"',
    '--rp_api_host needs a value',
    '--rp_api_concurrency must be a whole number from 1 to 100, got "none"',
  ]);
});

function problemsOf(argv: readonly string[]) {
  try {
    parseArguments(argv);
  } catch (error) {
    if (isWorkerError(error, 'config.invalid')) return error.details;
  }
  throw new Error('The arguments parsed');
}
