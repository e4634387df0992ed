import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { BreakingProxy } from './breaking-proxy.ts';

async function startProxied() {
  const server = createServer((_, response) => response.end('hello'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy = await BreakingProxy.start({ target: (server.address() as AddressInfo).port });
  return {
    proxy,
    url: `http://127.0.0.1:${proxy.port}`,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      server.closeAllConnections();
      server.close();
    },
  };
}

test('requests pass, also after all connections were dropped', async () => {
  await using setup = await startProxied();
  expect(await (await fetch(setup.url)).text()).toBe('hello');
  setup.proxy.drop();
  expect(await (await fetch(setup.url, { headers: { connection: 'close' } })).text()).toBe('hello');
});

test('an answer without end is sent for the request that was named, once', async () => {
  await using setup = await startProxied();
  setup.proxy.answerEndlessly('GET /endless', 1);
  expect(await (await fetch(setup.url)).text()).toBe('hello');
  const { body } = await fetch(`${setup.url}/endless`);
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > 1_000_000) break;
  }
  expect(bytes).toBeGreaterThan(1_000_000);
  expect(await (await fetch(`${setup.url}/endless`)).text()).toBe('hello');
});

test('a half-open connection answers nothing, and is reset in the end', async () => {
  await using setup = await startProxied();
  const socket = connect(setup.proxy.port, '127.0.0.1');
  let received = '';
  socket.setEncoding('latin1').on('data', (text) => (received += String(text)));
  const ended = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve));
  const request = 'GET / HTTP/1.1\r\nhost: proxied\r\n\r\n';
  socket.write(request);
  await once(socket, 'data');
  received = '';
  setup.proxy.halfOpen(200);
  socket.write(request);
  expect(['ECONNRESET', 'EPIPE']).toContain((await ended).code);
  expect(received).toBe('');
});
