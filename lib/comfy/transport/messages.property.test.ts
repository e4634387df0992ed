import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { parseMessage } from './messages.ts';

const RUNS = { seed: 20261129, numRuns: 1000 };

const TYPES = [
  'status',
  'execution_start',
  'execution_cached',
  'executing',
  'progress',
  'progress_state',
  'executed',
  'execution_success',
  'execution_error',
  'execution_interrupted',
];
const json = fc.jsonValue({ maxDepth: 2 });
const id = fc.oneof(fc.string(), fc.nat(), json);

/** Messages of the right types with right and wrong fields. */
const message = fc.record(
  {
    type: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...TYPES) }, json),
    data: fc.oneof(
      fc.record(
        {
          prompt_id: id,
          ...{ node: id, display_node: id, node_id: id, node_type: json },
          ...{ nodes: fc.oneof(fc.array(id), json), value: json, max: json },
          ...{ output: json, exception_message: json, exception_type: json, traceback: json },
        },
        { requiredKeys: [] },
      ),
      json,
    ),
  },
  { requiredKeys: [] },
);

function expectValid(frame: string | Uint8Array): string | undefined {
  const parsed = parseMessage(Buffer.from(frame));
  if (parsed === undefined || parsed.type === 'status') return parsed?.type;
  expect(typeof parsed.promptId).toBe('string');
  if ('node' in parsed) expect(typeof parsed.node).toBe('string');
  if (parsed.type === 'cached')
    expect(parsed.nodes.every((one) => typeof one === 'string')).toBe(true);
  if (parsed.type === 'progress')
    expect([typeof parsed.value, typeof parsed.max]).toEqual(['number', 'number']);
  return parsed.type;
}

test('any message in JSON is an event with its fields, or nothing', () => {
  const types = new Set<string | undefined>();
  fc.assert(
    fc.property(fc.oneof(message, json), (sent) => {
      types.add(expectValid(JSON.stringify(sent)));
    }),
    RUNS,
  );
  expect(types.size).toBeGreaterThan(9);
});

test('any bytes are an event or nothing, also a message that breaks off', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void expectValid(bytes)),
    RUNS,
  );
  fc.assert(
    fc.property(message, fc.nat(), (sent, end) => {
      const text = JSON.stringify(sent);
      expectValid(text.slice(0, end % (text.length + 1)));
    }),
    RUNS,
  );
});

test('a message that is nested ten thousand levels deep ends nothing', () => {
  const deep = `${'['.repeat(10_000)}${']'.repeat(10_000)}`;
  for (const type of TYPES) {
    expectValid(`{"type":"${type}","data":{"prompt_id":"p","node":"1","output":${deep}}}`);
    expectValid(`{"type":"${type}","data":{"prompt_id":"p","node":"1","traceback":${deep}}}`);
  }
});
