/**
 * The embedded ComfyUI as the child of the worker in a chaos run:
 * `comfy-child.ts --port 1234 --folder /tmp/x --control 5678 --journal /tmp/x/journal`.
 *
 * It writes what it runs into the journal, line by line and synchronously, so that a kill loses nothing. It tells the chaos
 * run its process id over the control connection, and takes orders to misbehave from there. Its own proxy is the only way
 * in, so that connections can be broken under the worker.
 */
import { appendFileSync } from 'node:fs';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { epochMs } from '../../lib/simulator/comfy/event-log.ts';
import type { NodeDefinition } from '../../lib/simulator/comfy/nodes/node.ts';
import { startComfySimulator } from '../../lib/simulator/comfy/simulator.ts';
import { BreakingProxy } from './breaking-proxy.ts';
import type { ComfyOrder } from './comfy-control.ts';
import type { RunRecord } from './stories.ts';

const { port, folder, control, journal } = parseArgs({
  options: {
    port: { type: 'string', default: '' },
    folder: { type: 'string', default: '' },
    control: { type: 'string', default: '' },
    journal: { type: 'string', default: '' },
  },
}).values;

/** Passes an image on after `ms`, and writes down which job it runs for. Never answered from ComfyUI's cache. */
const CHAOS_WORK: NodeDefinition = {
  info: () => ({
    input: {
      required: {
        image: ['IMAGE'],
        job: ['STRING', { default: '' }],
        ms: ['INT', { default: 0, min: 0, max: 60_000 }],
      },
    },
    input_order: { required: ['image', 'job', 'ms'] },
    ...{ output: ['IMAGE'], output_is_list: [false], output_name: ['IMAGE'] },
    ...{ name: 'ChaosWork', display_name: 'ChaosWork', description: '' },
    ...{ python_module: 'custom_nodes.chaos', category: 'chaos', output_node: false },
  }),
  fingerprint: () => String(performance.now()),
  async execute({ image, job, ms }, context) {
    write({ what: 'started', jobId: String(job) });
    for (let step = 1; step <= STEPS; step++) {
      await context.work(Number(ms) / STEPS);
      await context.progress(step, STEPS);
    }
    write({ what: 'executed', jobId: String(job) });
    return { outputs: [image] };
  },
};
const STEPS = 5;

function write(run: Pick<RunRecord, 'what' | 'jobId'>): void {
  const record: RunRecord = { ...run, at: epochMs(), pid: process.pid };
  appendFileSync(journal, `${JSON.stringify(record)}\n`);
}

process.stderr.write('Python version: 3.12.3\nImport times for custom nodes:\n');
const comfy = await startComfySimulator({
  folder,
  nodes: new Map([['ChaosWork', CHAOS_WORK]]),
});
const proxy = await BreakingProxy.start({
  target: Number(new URL(comfy.url).port),
  port: Number(port),
});
process.stderr.write(`Starting server\n\nTo see the GUI go to: http://127.0.0.1:${proxy.port}\n`);
const orders = connect(Number(control), '127.0.0.1');
// Without the chaos run there is nobody to run for.
orders.on('close', () => process.exit(1)).on('error', () => process.exit(1));
orders.write(`${process.pid}\n`);
createInterface(orders)
  .on('error', () => process.exit(1))
  .on('line', (line) => obey(JSON.parse(line) as ComfyOrder));

function obey(order: ComfyOrder): void {
  switch (order.do) {
    case 'drop':
      proxy.drop();
      break;
    case 'halfOpen':
      proxy.halfOpen(order.ms);
      break;
    case 'endless':
      proxy.answerEndlessly(order.request, order.times);
      break;
    case 'fail':
      comfy.faults.failAnswers(order);
      break;
    case 'lateHistory':
      setTimeout(comfy.faults.delayHistory(), order.ms);
      break;
    case 'endExecutor':
      // Python's own words for the end of a thread; the worker reads them.
      process.stderr.write('Exception in thread Thread-2 (prompt_worker):\n');
      comfy.faults.killExecutor();
      break;
  }
}
