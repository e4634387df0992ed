import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { createLog } from '../log.ts';
import { listenForShutdown } from './shutdown.ts';

const log = await createLog({ level: 'info', format: 'json', destination: new PassThrough() });

function listening() {
  const source = new EventEmitter();
  const codes: number[] = [];
  const shutdown = listenForShutdown({ log, source, exit: (code) => codes.push(code) });
  return { source, codes, shutdown };
}

test.each(['SIGTERM', 'SIGINT'])(
  'the first %s aborts the signal and does not end the process',
  (name) => {
    const { source, codes, shutdown } = listening();
    expect(shutdown.signal.aborted).toBe(false);
    source.emit(name, name);
    expect(shutdown.signal.aborted).toBe(true);
    expect(codes).toEqual([]);
  },
);

test('a second signal ends the process at once, with the exit code of that signal', () => {
  const { source, codes } = listening();
  source.emit('SIGINT', 'SIGINT');
  source.emit('SIGTERM', 'SIGTERM');
  expect(codes).toEqual([143]);
});

test('a Ctrl-C that arrives twice because npm passes it on counts once', () => {
  const { source, codes } = listening();
  source.emit('SIGINT', 'SIGINT');
  source.emit('SIGINT', 'SIGINT');
  expect(codes).toEqual([]);
});

test('after it is disposed it has no listeners left', () => {
  const { source, shutdown } = listening();
  shutdown[Symbol.dispose]();
  expect(source.eventNames()).toEqual([]);
});

test('a real process finishes at the first signal, and ends at the second', async () => {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', STUBBORN], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await once(child, 'exit')).toEqual([143, null]);
});

/** Says when it listens and when it was told to stop, and never stops by itself. */
const STUBBORN = `
  import { listenForShutdown } from '${new URL('./shutdown.ts', import.meta.url).href}';
  const silent = { info() {}, warn() {} };
  const { signal } = listenForShutdown({ log: silent });
  signal.addEventListener('abort', () => console.log('stopping'));
  setInterval(() => {}, 1000);
  console.log('listening');
`;
