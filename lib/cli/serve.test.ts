import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { startCliRig } from './test-cli.ts';

test.each([
  ['the environment', []],
  ['the command line, which wins', ['--port', 'TAKEN']],
])('serve listens where %s says', async (_who, options) => {
  await using taken = await takePort();
  const API_PORT = options.length === 0 ? taken.port : '1';
  await using cli = await startCliRig({ API_PORT });
  const args = options.map((option) => option.replace('TAKEN', taken.port));
  const { code, stderr } = await cli.run(['serve', ...args]);
  expect(stderr).toContain(`cannot listen on 127.0.0.1:${taken.port}`);
  expect(code).not.toBe(0);
});

async function takePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: String((server.address() as AddressInfo).port),
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}
