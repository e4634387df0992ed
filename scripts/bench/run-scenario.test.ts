import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { startEmbeddedComfy } from './comfy.ts';
import { runScenario } from './run-scenario.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

const ENTRY = fileURLToPath(new URL('../../handler/index.ts', import.meta.url));
const never = () => new AbortController().signal;

function shortened(name: string, jobs: number): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === name)!;
  return { ...scenario, jobs };
}

test('the worker is measured from its start to the last job', async () => {
  await using comfy = await startEmbeddedComfy(0);
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: comfy.url,
    signal: never(),
  };
  const figures = await runScenario(shortened('tiny', 3), bench);
  expect(figures).toMatchObject({ scenario: 'tiny', jobs: 3, idleMs: undefined });
  expect(figures.coldStartMs).toBeGreaterThan(0);
  expect(figures.comfyMs?.count).toBe(3);
  expect(figures.overheadMs?.count).toBe(3);
  expect(figures.resultBytes?.min).toBeGreaterThan(100);
});

test('jobs that wait in the queue show how long ComfyUI was idle between them', async () => {
  await using comfy = await startEmbeddedComfy(0);
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: comfy.url,
    signal: never(),
  };
  const figures = await runScenario(shortened('backlog', 3), bench);
  expect(figures.idleMs?.count).toBe(2);
  expect(figures.overheadMs).toBeUndefined();
});

test('a worker that ends by itself fails the scenario with its last words', async () => {
  const bench = {
    workerCommand: 'echo no GPU found; exit 3',
    comfyUrl: 'http://127.0.0.1:9',
    signal: never(),
  };
  await expect(runScenario(shortened('tiny', 3), bench)).rejects.toThrow(/ended.*\nno GPU found/);
});

test('an interrupted bench ends the worker', async () => {
  const interrupted = new AbortController();
  const bench = {
    workerCommand: 'sleep 60',
    comfyUrl: 'http://127.0.0.1:9',
    signal: interrupted.signal,
  };
  const run = runScenario(shortened('tiny', 3), bench);
  interrupted.abort(new Error('enough'));
  await expect(run).rejects.toThrow(/ended|enough/);
});
