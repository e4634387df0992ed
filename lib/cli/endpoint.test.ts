import { expect, test } from '@jest/globals';
import { startEndlessServer } from '../http/test-endless.ts';
import { openEndpoint, parseEndpoint } from './endpoint.ts';

test.each([
  ['abc123', { endpointId: 'abc123', isRunpod: true }],
  [
    'http://127.0.0.1:8000',
    { baseUrl: 'http://127.0.0.1:8000/v2', endpointId: 'local', isRunpod: false },
  ],
  ['http://h/v2/mine/', { baseUrl: 'http://h/v2', endpointId: 'mine', isRunpod: false }],
  ['http://h/run', { baseUrl: 'http://h/v2', endpointId: 'local', isRunpod: false }],
  [
    'http://h/proxy/v2/mine/runsync',
    { baseUrl: 'http://h/proxy/v2', endpointId: 'mine', isRunpod: false },
  ],
  [
    'https://api.runpod.ai/v2/abc/run',
    { baseUrl: 'https://api.runpod.ai/v2', endpointId: 'abc', isRunpod: true },
  ],
  [
    'http://api.runpod.ai/v2/abc',
    { baseUrl: 'http://api.runpod.ai/v2', endpointId: 'abc', isRunpod: false },
  ],
  [
    'https://api.runpod.ai.example.org/v2/abc',
    { baseUrl: 'https://api.runpod.ai.example.org/v2', endpointId: 'abc', isRunpod: false },
  ],
])('%s is understood', (text, address) => {
  expect(parseEndpoint(text)).toEqual(address);
});

test.each(['', 'a b', 'ftp://h/v2/x', 'http://h/other/path', '127.0.0.1:8000'])(
  '%j is refused',
  (text) => {
    expect(() => parseEndpoint(text)).toThrow(/Expected --endpoint/);
  },
);

test.each([200, 500])('an answer of %i without an end is cut off', async (status) => {
  await using server = await startEndlessServer({ status });
  const address = { baseUrl: `${server.url}/v2`, endpointId: 'x', isRunpod: false };
  const endpoint = await openEndpoint(address, '', { maxBytes: 1_000_000 });
  await expect(endpoint.status('j1')).rejects.toThrow('cannot be used');
  expect(server.mostBytes).toBeLessThan(20_000_000);
});
