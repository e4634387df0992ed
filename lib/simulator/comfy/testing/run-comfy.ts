/**
 * The embedded ComfyUI as a program, for tests that kill, stop and restart a real process:
 * `run-comfy.ts --port 1234 --folder /tmp/x`. It prints the lines of ComfyUI's start, and `boot.txt` of its folder if there
 * is one. `exit.txt` in its folder makes it exit at once with the code in it. With `crash.txt`,
 * a traceback, it prints that and exits, unless it was told to leave out the node pack in it. After SIGUSR2 its port refuses connections, but
 * the process lives.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { startComfySimulator } from '../simulator.ts';
import { MISBEHAVING_NODES, PROBE_NODES } from './probe-nodes.ts';

const { port, folder } = parseArgs({
  options: {
    port: { type: 'string', default: '8188' },
    folder: { type: 'string', default: '.' },
  },
  strict: false,
}).values;
const base = String(folder);
writeFileSync(join(base, `started-${process.pid}`), '');
const exitCode = maybeRead('exit.txt');
if (exitCode !== undefined) process.exit(Number(exitCode));
say('Python version: 3.12.3');
const crash = maybeRead('crash.txt')?.replaceAll('FOLDER', base);
const crashingPack = /\/custom_nodes\/([^/]+)/.exec(crash ?? '')?.[1] ?? '';
const isLeftOut =
  process.argv.includes('--disable-all-custom-nodes') && !process.argv.includes(crashingPack);
if (crash !== undefined && !isLeftOut) {
  say(crash);
  process.exit(1);
}
say(maybeRead('boot.txt') ?? 'Import times for custom nodes:');
const comfy = await startComfySimulator({
  port: Number(port),
  folder: base,
  nodes: new Map([...PROBE_NODES, ...MISBEHAVING_NODES]),
  print: say,
});
process.on('SIGUSR2', () => {
  setInterval(() => undefined, 1000);
  void comfy[Symbol.asyncDispose]();
});

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function maybeRead(name: string): string | undefined {
  try {
    return readFileSync(join(base, name), 'utf8');
  } catch {
    return undefined;
  }
}
