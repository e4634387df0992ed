#!/usr/bin/env node
import { enableCompileCache } from 'node:module';

enableCompileCache(); // before anything else is loaded: a container starts noticeably sooner the second time

const call = { environment: process.env, args: process.argv.slice(2) };
process.exit(isCommand(call.args[0]) ? await runCommand() : await runWorker());

async function runWorker(): Promise<number> {
  const { main } = await import('./main.ts');
  return main(call);
}

async function runCommand(): Promise<number> {
  const { runCommand } = await import('./commands.ts');
  return runCommand(call);
}

/** A word, or a request for help; everything else is flags for the worker, as the Python SDK has them. */
function isCommand(first = ''): boolean {
  return /^(?:[^-].*|-h|--help|-V|--version)$/.test(first);
}
