import { expect, test } from '@jest/globals';
import { ManualClock } from '../../clock.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy } from '../test-comfy.ts';

/** A ComfyUI with these node classes. The test may change the list. */
async function withClasses(...classTypes: string[]) {
  const scripted = await ScriptedComfy.start();
  const describe = (name: string) => ({ [name]: { name, input: {}, output: [] } });
  const all = () => Object.assign({}, ...classTypes.map(describe)) as object;
  scripted.script('GET /object_info', ({ path }) => {
    const wanted = decodeURIComponent(path.split('/')[2] ?? '');
    const found = classTypes.includes(wanted) ? describe(wanted) : {};
    return { body: JSON.stringify(wanted === '' ? all() : found) };
  });
  return { scripted, classTypes };
}

const namesOf = (infos: ReadonlyMap<string, unknown> | undefined) => infos && [...infos.keys()];

test('an installed class is fetched once, a missing one every time', async () => {
  const { scripted, classTypes } = await withClasses('A', 'B');
  await using _ = scripted;
  await using comfy = openComfy(scripted.url);
  await comfy.waitUntilReady(never);
  const asked = () => scripted.count('GET /object_info');
  expect(namesOf(await comfy.describeNodes(['A', 'B', 'A', 'C'], { signal: never }))).toEqual([
    'A',
    'B',
  ]);
  expect(asked()).toBe(3);
  classTypes.push('C');
  expect(namesOf(await comfy.describeNodes(['A', 'C'], { signal: never }))).toEqual(['A', 'C']);
  expect(asked()).toBe(4);
});

test('fresh descriptions are fetched again', async () => {
  const { scripted, classTypes } = await withClasses('A', 'B');
  await using _ = scripted;
  await using comfy = openComfy(scripted.url);
  await comfy.waitUntilReady(never);
  await comfy.describeNodes(['A', 'B'], { signal: never });
  classTypes.splice(0, 1);
  expect(namesOf(await comfy.describeNodes(['A', 'B'], { signal: never }))).toEqual(['A', 'B']);
  const fresh = { signal: never, fresh: true };
  expect(namesOf(await comfy.describeNodes(['A', 'B'], fresh))).toEqual(['B']);
});

test('a new connection empties the cache, because it may lead to another ComfyUI', async () => {
  const { scripted } = await withClasses('A');
  await using _ = scripted;
  await using comfy = openComfy(scripted.url);
  await comfy.waitUntilReady(never);
  await comfy.describeNodes(['A'], { signal: never });
  for (const socket of scripted.sockets) socket.terminate();
  while (scripted.clientIds.length < 2) await comfy.waitUntilReady(never);
  await comfy.describeNodes(['A'], { signal: never });
  expect(scripted.count('GET /object_info')).toBe(2);
});

test('class names with slashes and spaces are escaped', async () => {
  const name = 'Mute / Bypass (ä)';
  const { scripted } = await withClasses(name);
  await using _ = scripted;
  await using comfy = openComfy(scripted.url);
  expect(namesOf(await comfy.describeNodes([name], { signal: never }))).toEqual([name]);
  expect(await comfy.nodeClassNames(never)).toEqual([name]);
});

test('describing nodes gives up after the time limit', async () => {
  await using scripted = await ScriptedComfy.start();
  scripted.script('GET /object_info', () => new Promise(() => undefined));
  const clock = new ManualClock();
  await using comfy = openComfy(scripted.url, { clock });
  const described = comfy.describeNodes(['A'], { signal: never });
  while (clock.sleepers === 0) await Promise.resolve();
  clock.advance(10_000);
  expect(await described).toBeUndefined();
});

test('a ComfyUI that needs five seconds for the answer, because it runs another prompt, is waited for', async () => {
  await using scripted = await ScriptedComfy.start();
  const answer = Promise.withResolvers<{ body: string }>();
  scripted.script('GET /object_info', () => answer.promise);
  const clock = new ManualClock();
  await using comfy = openComfy(scripted.url, { clock });
  const described = comfy.describeNodes(['A'], { signal: never });
  while (scripted.count('GET /object_info') === 0) await new Promise(setImmediate);
  clock.advance(5000);
  answer.resolve({ body: '{"A":{"input":{}}}' });
  expect(namesOf(await described)).toEqual(['A']);
});

test('a failed request gives no descriptions, and an abort is thrown', async () => {
  await using scripted = await ScriptedComfy.start();
  scripted.script('GET /object_info', () => ({ status: 404, body: '' }));
  await using comfy = openComfy(scripted.url);
  expect(await comfy.describeNodes(['A'], { signal: never })).toBeUndefined();
  expect(await comfy.nodeClassNames(never)).toEqual([]);
  const ended = AbortSignal.abort(new Error('the job has ended'));
  await expect(comfy.describeNodes(['A'], { signal: ended })).rejects.toThrow('the job has ended');
});

test('describing no classes sends no request', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  expect(namesOf(await comfy.describeNodes([], { signal: never }))).toEqual([]);
  expect(scripted.count('GET /object_info')).toBe(0);
});

test.each([
  'null',
  '[]',
  '[{"A":{"input":{}}}]',
  '5',
  '"A"',
  '{"A":null}',
  '{"A":[]}',
  '{"A":7}',
  '{"A":{}}',
  '{"A":{"input":null}}',
  '{"A":{"input":[]}}',
  '{"A":{"input":{"required":null}}}',
  '{"A":{"input":{"required":["seed"]}}}',
  '{"A":{"input":{"required":{"seed":null}}}}',
  '{"A":{"input":{"required":{"seed":"INT"}}}}',
  '{"A":{"input":{"optional":{"seed":[]}}}}',
  '{"A":{"input":{"optional":{"seed":[{}]}}}}',
  '{"A":{"input":{},"output":"IMAGE"}}',
])('an answer that describes no node says nothing about nodes: %s', async (body) => {
  await using scripted = await ScriptedComfy.start();
  scripted.script('GET /object_info', () => ({ body }));
  await using comfy = openComfy(scripted.url);
  await comfy.waitUntilReady(never);
  expect(await comfy.describeNodes(['A'], { signal: never })).toBeUndefined();
  scripted.script('GET /object_info', () => ({ body: '{"A":{"input":{}}}' }));
  expect(namesOf(await comfy.describeNodes(['A'], { signal: never }))).toEqual(['A']);
});

test.each(['null', '[]', '["A"]', '5'])('class names are not read from %s', async (body) => {
  await using scripted = await ScriptedComfy.start();
  scripted.script('GET /object_info', () => ({ body }));
  await using comfy = openComfy(scripted.url);
  expect(await comfy.nodeClassNames(never)).toEqual([]);
});
