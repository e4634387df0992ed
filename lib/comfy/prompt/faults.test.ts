import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { WorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import type { EventType } from '../../simulator/comfy/event-log.ts';
import { PROBE_NODES } from '../../simulator/comfy/testing/probe-nodes.ts';
import { startComfySimulator, type ComfySimulator } from '../../simulator/comfy/simulator.ts';
import type { SocketBreak } from '../../simulator/comfy/server/sockets.ts';
import type { ComfyBackend, PromptOutcome } from '../backend.ts';
import { never, openComfy, silentLog, type TestSettings } from '../test-comfy.ts';

/** Runs against the embedded ComfyUI, whose behaviour was checked against recordings of a real one. */

const options = { signal: never, log: silentLog };
const quick: TestSettings = { pollIntervalMs: 50, pingIntervalMs: 30, limits: { doubtMs: 200 } };

const startSimulator = (speed = Infinity) => startComfySimulator({ nodes: PROBE_NODES, speed });

let made = 0;
/** A workflow that makes an image in a few steps. The seed differs each time, so nothing is cached. */
function picture({ steps = 5, stepMs = 0 } = {}) {
  return JsonText.of({
    1: { class_type: 'EmptyImage', inputs: { width: 16, height: 16, batch_size: 1, color: 0 } },
    2: {
      class_type: 'ProbeSampler',
      inputs: { image: ['1', 0], steps, step_ms: stepMs, seed: ++made },
    },
    3: { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'p' } },
  });
}

const long = () => picture({ steps: 10_000, stepMs: 5 });

function expectPicture(outcome: PromptOutcome): void {
  expect(outcome).toMatchObject({ ending: 'succeeded', problems: [] });
  expect(outcome.outputs?.get('3')?.get('images')?.items()).toHaveLength(1);
}

async function expectNothingLeft(simulator: ComfySimulator): Promise<void> {
  const queue = (await (await fetch(`${simulator.url}/queue`)).json()) as Record<string, unknown[]>;
  expect(queue).toEqual({ queue_running: [], queue_pending: [] });
}

const breaks: SocketBreak[] = ['close', 'reset', 'stall'];
const moments: EventType[] = [
  'accepted',
  'execution_start',
  'progress',
  'executed',
  'execution_success',
  'ended',
  'history',
];
test.each(moments.flatMap((moment) => breaks.map((how) => [moment, how] as const)))(
  'no image is lost when the websocket breaks at %s by %s',
  async (moment, how) => {
    await using simulator = await startSimulator();
    await using comfy = openComfy(simulator.url, quick);
    await comfy.waitUntilReady(never);
    const broken = simulator.faults.breakSockets(how, { at: { type: moment } });
    expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
    await broken;
    expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
    expect(simulator.prompts).toHaveLength(2);
  },
);

test('no image is lost when the websocket breaks at every step', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, quick);
  const broken = simulator.faults.breakSockets('reset', { at: { type: 'progress' }, times: 5 });
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
  await broken;
});

test('an output is announced and can be fetched byte for byte', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const announced: string[] = [];
  const onOutput = (nodeId: string, output: JsonText) =>
    announced.push(nodeId, String(output.get('images')?.items()[0]?.get('filename')?.value()));
  await comfy.runPrompt({ workflow: picture() }, { ...options, onOutput });
  expect(announced).toEqual(['3', 'p_00001_.png']);
  const file = { filename: announced[1]!, subfolder: '', type: 'output' };
  const content = await comfy.fetchFile(file, {
    signal: never,
    newPath: () => Promise.resolve(join(tmpdir(), randomUUID())),
    memoryBytes: 100_000,
  });
  expect(Buffer.from(await content.slice(1, 4).bytes()).toString()).toBe('PNG');
});

test('a fully cached prompt has the outputs of the first one', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const workflow = picture();
  const [first, second] = [
    await comfy.runPrompt({ workflow }, options),
    await comfy.runPrompt({ workflow }, options),
  ];
  expectPicture(second);
  expect(second.outputs?.text).toBe(first.outputs?.text);
});

test('progress rises from 0 to 100 without falling', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const percents: number[] = [];
  await comfy.runPrompt(
    { workflow: picture() },
    { ...options, onProgress: ({ percent }) => percents.push(percent) },
  );
  expect(percents).toEqual(percents.toSorted((a, b) => a - b));
  expect(percents[0]).toBe(0);
  expect(percents.at(-1)).toBe(100);
  expect(percents.length).toBeGreaterThan(6);
});

test('a late history is waited for, with and without a connection', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, { ...quick, limits: { doubtMs: 2000 } });
  simulator.faults.delayHistory(100);
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
  const broken = simulator.faults.breakSockets('close', { at: { type: 'progress' } });
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
  await broken;
});

test.each(['lose', 'break', 'refuse'] as const)(
  'a failed answer to /prompt (%s) neither loses nor duplicates the prompt',
  async (how) => {
    await using simulator = await startSimulator();
    await using comfy = openComfy(simulator.url, { limits: { unansweredMs: 50 } });
    await comfy.waitUntilReady(never);
    simulator.faults.failAnswers({ request: 'POST /prompt', how });
    const running = comfy.runPrompt({ workflow: picture() }, options);
    if (how === 'refuse')
      await expect(running).rejects.toThrow(/^Error queuing workflow: 500 Server Error/);
    else expectPicture(await running);
    expect(simulator.prompts).toHaveLength(how === 'refuse' ? 0 : 1);
  },
);

test('a prompt is lost when ComfyUI restarts, and the next prompt runs', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url, {
    ...quick,
    reconnect: { attempts: 20, delayMs: 5 },
  });
  await comfy.waitUntilReady(never);
  const running = comfy.runPrompt({ workflow: long() }, options);
  running.catch(() => undefined);
  await simulator.waitFor({ type: 'progress' });
  await simulator.faults.restart();
  // During the restart nothing answers; after it the new ComfyUI does not know the prompt.
  await expect(running).rejects.toThrow(
    /ComfyUI HTTP unreachable|is neither in ComfyUI's queue nor/,
  );
  await comfy.waitUntilReady(never);
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
});

test('a prompt fails at once when ComfyUI dies, with the text that clients match on', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url, quick);
  await comfy.waitUntilReady(never);
  const running = comfy.runPrompt({ workflow: long() }, options);
  running.catch(() => undefined);
  await simulator.waitFor({ type: 'progress' });
  await simulator.faults.die();
  await expect(running).rejects.toMatchObject({
    code: 'comfy.socket_failed',
    message: 'WebSocket communication error: ComfyUI HTTP unreachable during websocket reconnect',
  });
});

test('a dead executor is noticed by its silence', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, {
    pollIntervalMs: 10,
    silenceTimeoutMs: 100,
    limits: { cancelMs: 50 },
  });
  await comfy.waitUntilReady(never);
  simulator.faults.killExecutor();
  await expect(comfy.runPrompt({ workflow: picture() }, options)).rejects.toMatchObject({
    code: 'comfy.silent',
  });
});

test('a prompt ends even if the server has forgotten the websocket without closing it', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, { pollIntervalMs: 20 });
  await comfy.waitUntilReady(never);
  simulator.faults.dropRegistration();
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
});

test('a prompt ends even if another client holds up all events', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, { pollIntervalMs: 20 });
  await comfy.waitUntilReady(never);
  const release = simulator.faults.stallPublisher();
  expectPicture(await comfy.runPrompt({ workflow: picture() }, options));
  release();
});

test('an interrupt from outside is reported with the node at which it happened', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url);
  const running = comfy.runPrompt({ workflow: long() }, options);
  await simulator.waitFor({ type: 'progress' });
  await fetch(`${simulator.url}/interrupt`, { method: 'POST' });
  expect(await running).toMatchObject({
    ending: 'interrupted',
    problems: ['Workflow execution interrupted: Node Type: ProbeSampler, Node ID: 2'],
  });
});

test('a node that raises makes the prompt fail with its error text', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const workflow = JsonText.of({
    ...(picture().value() as object),
    4: { class_type: 'ProbeFail', inputs: { image: ['5', 0], message: 'boom' } },
    5: { class_type: 'ProbeSleep', inputs: { image: ['2', 0], ms: 1 } },
    6: { class_type: 'SaveImage', inputs: { images: ['4', 0], filename_prefix: 'q' } },
  });
  const outcome = await comfy.runPrompt({ workflow }, options);
  expect(outcome).toMatchObject({
    ending: 'failed',
    problems: ['Workflow execution error: Node Type: ProbeFail, Node ID: 4, Message: boom\n'],
  });
});

test('NaN and Infinity in outputs are read as null', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const workflow = JsonText.of({ 1: { class_type: 'ProbeNaN', inputs: {} } });
  const { outputs } = await comfy.runPrompt({ workflow }, options);
  expect(outputs?.get('1')?.get('score')?.value()).toEqual([null, null]);
});

test('a seed of 64 bits reaches the node with all its digits', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const workflow = JsonText.parse(
    '{"1":{"class_type":"ProbeValue","inputs":{"value":18446744073709551615}}}',
  );
  const { outputs } = await comfy.runPrompt({ workflow }, options);
  expect(outputs?.text).toContain('18446744073709551615');
});

test('aborting a running prompt interrupts no other prompt', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url);
  const job = new AbortController();
  const stopped = comfy.runPrompt({ workflow: long() }, { ...options, signal: job.signal });
  stopped.catch(() => undefined);
  await simulator.waitFor({ type: 'progress' });
  const next = comfy.runPrompt({ workflow: picture() }, options);
  await simulator.waitFor({ type: 'accepted' }, { next: true });
  const reason = new WorkerError('job.stopped', 'stopped');
  job.abort(reason);
  await expect(stopped).rejects.toBe(reason);
  expectPicture(await next);
  await expectNothingLeft(simulator);
});

test('aborting a waiting prompt removes it while the running one goes on', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url);
  const running = comfy.runPrompt({ workflow: picture({ steps: 30, stepMs: 5 }) }, options);
  await simulator.waitFor({ type: 'progress' });
  const job = new AbortController();
  const waiting = comfy.runPrompt({ workflow: picture() }, { ...options, signal: job.signal });
  waiting.catch(() => undefined);
  await simulator.waitFor({ type: 'accepted' }, { next: true });
  job.abort(new WorkerError('job.stopped', 'stopped'));
  await expect(waiting).rejects.toThrow('stopped');
  expectPicture(await running);
  expect(simulator.prompts).toHaveLength(1);
});

test('aborting at any moment leaves no prompt in ComfyUI', async () => {
  await using simulator = await startSimulator(1);
  await using comfy = openComfy(simulator.url);
  await comfy.waitUntilReady(never);
  for (let i = 0; i < 20; i++) {
    const signal = AbortSignal.timeout(i % 10);
    const running = comfy.runPrompt({ workflow: long() }, { ...options, signal });
    await expect(running).rejects.toMatchObject({ name: 'TimeoutError' });
    await expectNothingLeft(simulator);
  }
});

test('concurrent prompts get their own outputs', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url);
  const outcomes = await Promise.all(
    Array.from({ length: 10 }, () => comfy.runPrompt({ workflow: picture() }, options)),
  );
  outcomes.forEach(expectPicture);
  expect(new Set(outcomes.map(({ outputs }) => outputs?.text)).size).toBe(10);
});

test('all prompts succeed while connections break all the time', async () => {
  await using simulator = await startSimulator();
  await using comfy = openComfy(simulator.url, {
    ...quick,
    reconnect: { attempts: 50, delayMs: 5 },
  });
  const storm = new AbortController();
  const storming = breakThings(simulator, storm.signal);
  for (let i = 0; i < 10; i++)
    (await Promise.all([1, 2, 3, 4].map(() => runReadily(comfy)))).forEach(expectPicture);
  storm.abort();
  await storming;
});

async function runReadily(comfy: ComfyBackend): Promise<PromptOutcome> {
  await comfy.waitUntilReady(never);
  return await comfy.runPrompt({ workflow: picture() }, options);
}

async function breakThings({ faults }: ComfySimulator, signal: AbortSignal): Promise<void> {
  for (let i = 0; !signal.aborted; i++) {
    void faults.breakSockets(breaks[i % breaks.length]!);
    await sleep(5 + (i % 7));
  }
}
