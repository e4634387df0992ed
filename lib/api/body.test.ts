import { Readable } from 'node:stream';
import { expect, test } from '@jest/globals';
import { fastify } from 'fastify';
import { bodyText, keepBodiesAsText } from './body.ts';

test('large bodies that end in the same moment each get a turn of the event loop of their own', async () => {
  using turns = countTurns();
  await using app = fastify({ bodyLimit: 10_000_000 });
  keepBodiesAsText(app, 100_000_000);
  const read: number[] = [];
  app.post('/', (request) => {
    read.push(turns.count);
    return String(bodyText(request).length);
  });
  const send = () =>
    app.inject({
      method: 'POST',
      url: '/',
      headers: { 'content-type': 'application/json', 'content-length': '1000000' },
      payload: Readable.from([Buffer.alloc(1_000_000, 'x')]),
    });
  const answers = await Promise.all(Array.from({ length: 20 }, send));
  expect(new Set(answers.map(({ body }) => body))).toEqual(new Set(['1000000']));
  expect(new Set(read).size).toBe(20);
});

function countTurns() {
  let immediate: NodeJS.Immediate;
  const turns = { count: 0, [Symbol.dispose]: () => clearImmediate(immediate) };
  const next = () => {
    turns.count++;
    immediate = setImmediate(next);
  };
  next();
  return turns;
}
