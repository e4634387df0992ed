import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { expect, test } from '@jest/globals';
import { fetch } from 'undici';
import { createPublicAgent, isPublicAddress } from './public-address.ts';

test.each(['8.8.8.8', '1.1.1.1', '172.32.0.1', '100.128.0.1', '2606:4700::1111', '2a00:1450::8'])(
  '%s is public',
  (address) => expect(isPublicAddress(address)).toBe(true),
);

test.each([
  '127.0.0.1',
  '127.255.255.254',
  '0.0.0.0',
  '10.1.2.3',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '169.254.169.254',
  '100.64.0.1',
  '192.0.0.192',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::ffff:127.0.0.1',
  '::ffff:8.8.8.8',
  '64:ff9b::7f00:1',
  'fe80::1%eth0',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '2001:db8::1',
  '2001:0:7f00:1::',
  '2002:7f00:1::',
  'localhost',
  '',
  '1.2.3',
])('"%s" is not', (address) => expect(isPublicAddress(address)).toBe(false));

async function startServer() {
  let requests = 0;
  const server = createServer((_request, response) => {
    requests++;
    response.end('secret');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    requests: () => requests,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

test.each(['127.0.0.1', 'localhost', '[::1]', '0x7f.1', '2130706433', '[::ffff:127.0.0.1]'])(
  'no request is sent to %s',
  async (host) => {
    await using server = await startServer();
    const agent = createPublicAgent();
    const request = fetch(`http://${host}:${server.port}/`, { dispatcher: agent });
    await expect(request).rejects.toMatchObject({ cause: { code: 'EPRIVATE' } });
    expect(server.requests()).toBe(0);
    await agent.destroy();
  },
);

test('a server that is allowed by name and port can be reached, and no other', async () => {
  await using server = await startServer();
  await using other = await startServer();
  const agent = createPublicAgent({ allow: [`127.0.0.1:${server.port}`] });
  const answer = await fetch(`http://127.0.0.1:${server.port}/`, { dispatcher: agent });
  expect(await answer.text()).toBe('secret');
  await expect(
    fetch(`http://127.0.0.1:${other.port}/`, { dispatcher: agent }),
  ).rejects.toMatchObject({ cause: { code: 'EPRIVATE' } });
  await expect(
    fetch(`http://localhost:${server.port}/`, { dispatcher: agent }),
  ).rejects.toMatchObject({ cause: { code: 'EPRIVATE' } });
  expect([server.requests(), other.requests()]).toEqual([1, 0]);
  await agent.destroy();
});
