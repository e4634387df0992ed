import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { startEmbeddedComfy } from './comfy.ts';
import { runScenario } from './run-scenario.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

const ENTRY = fileURLToPath(new URL('../../handler/index.ts', import.meta.url));
const never = () => new AbortController().signal;

function shortened(name: string, jobs: number): Scenario {
  const scenario = SCENARIOS.find((known) => known.name === name)!;
  return { ...scenario, count: jobs };
}

test("single jobs show the worker's overhead", async () => {
  await using comfy = await startEmbeddedComfy(0);
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: comfy.url,
    signal: never(),
  };
  const figures = await runScenario(shortened('tiny', 3), bench);
  expect(figures).toMatchObject({ scenario: 'tiny', count: 3, idleMs: undefined });
  expect(figures.comfyMs?.count).toBe(3);
  expect(figures.overheadMs?.count).toBe(3);
  expect(figures.resultBytes?.min).toBeGreaterThan(100);
});

test('queued jobs show how long ComfyUI was idle between them', async () => {
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

test('long runs show memory over time instead of single jobs', async () => {
  await using comfy = await startEmbeddedComfy(0);
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: comfy.url,
    signal: never(),
  };
  const figures = await runScenario(shortened('soak', 30), bench);
  expect(figures).toMatchObject({ count: 30, comfyMs: undefined, overheadMs: undefined });
});

test("rounds of clients show how long the API's event loop was blocked", async () => {
  await using comfy = await startEmbeddedComfy(0);
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: comfy.url,
    signal: never(),
  };
  const figures = await runScenario({ ...shortened('api', 2), clients: 3 } as Scenario, bench);
  expect(figures).toMatchObject({ scenario: 'api', count: 2, overheadMs: undefined });
  expect(figures.longestTurnMs?.count).toBe(2);
  expect(figures.jobsPerS).toBeGreaterThan(0);
});

test('starts show the time until the first request for jobs', async () => {
  const bench = {
    workerCommand: `'${process.execPath}' '${ENTRY}'`,
    comfyUrl: 'http://127.0.0.1:9',
    signal: never(),
  };
  const { firstTakeMs } = await runScenario(shortened('start', 2), bench);
  expect(firstTakeMs?.count).toBe(2);
  expect(firstTakeMs?.min).toBeGreaterThan(10);
});

test('a worker that exits fails the scenario with its last output', async () => {
  const bench = {
    workerCommand: 'echo no GPU found',
    comfyUrl: 'http://127.0.0.1:9',
    signal: never(),
  };
  await expect(runScenario(shortened('tiny', 3), bench)).rejects.toThrow(/ended.*\nno GPU found/);
});

test('an interrupted bench stops the worker', async () => {
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
