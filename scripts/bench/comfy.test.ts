import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { idleTimes, readComfyTimes } from './comfy.ts';

function entry(prefix: string, messages: readonly unknown[]) {
  const graph = {
    '1': { class_type: 'EmptyImage', inputs: {} },
    '2': { class_type: 'SaveImage', inputs: { filename_prefix: prefix } },
  };
  return { prompt: [1, 'id', graph, {}, ['2']], outputs: {}, status: { messages } };
}

const HISTORY = {
  b: entry('run/job1', [
    ['execution_start', { timestamp: 1030 }],
    ['execution_cached', { nodes: [], timestamp: 1031 }],
    ['execution_success', { timestamp: 1070 }],
  ]),
  a: entry('run/job0', [
    ['execution_start', { timestamp: 1000 }],
    ['execution_success', { timestamp: 1020 }],
  ]),
  c: entry('run/job2', [['execution_start', { timestamp: 2000 }]]),
};

test('prompts are identified by their prefix, and one that did not end has no times', async () => {
  const server = createServer((_, response) => response.end(JSON.stringify(HISTORY)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    expect(await readComfyTimes(url, ['run/job0', 'run/job1', 'run/job2', 'run/job3'])).toEqual([
      { startedMs: 1000, endedMs: 1020 },
      { startedMs: 1030, endedMs: 1070 },
      undefined,
      undefined,
    ]);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test('idle times are the pauses between consecutive prompts', () => {
  const times = [
    { startedMs: 1030, endedMs: 1070 },
    { startedMs: 1000, endedMs: 1020 },
    { startedMs: 1071, endedMs: 1080 },
  ];
  expect(idleTimes(times)).toEqual([10, 1]);
});
