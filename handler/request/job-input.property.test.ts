import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isWorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { parseInput } from './job-input.ts';

/** Always the same inputs: a new one that fails belongs into a test with a name. */
const RUNS = { seed: 20261129, numRuns: 600 };

const json = fc.jsonValue({ maxDepth: 2 });
/** Right in most cases. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: right }, { weight: 1, arbitrary: json });
const text = fc.oneof(fc.string(), fc.constantFrom('', 'a.png', '../a', 'http://a.b/c', 'AAAA'));
const node = fc.record(
  { class_type: mostly(text), inputs: mostly(fc.dictionary(text, json)) },
  { requiredKeys: [] },
);
const workflow = mostly(fc.dictionary(fc.string({ maxLength: 3 }), mostly(node), { maxKeys: 4 }));
const file = fc.record(
  { name: mostly(text), image: mostly(text), url: text, data: text, type: text },
  { requiredKeys: [] },
);
const output = fc.record(
  {
    nodes: mostly(fc.array(text)),
    delivery: mostly(fc.constantFrom('inline', 's3', 'auto')),
    put: mostly(fc.array(fc.record({ url: text, match: text }, { requiredKeys: [] }))),
    convert: json,
    expect: json,
  },
  { requiredKeys: [] },
);

/** Inputs that have the right fields with right, nearly right and wrong values. */
const input = fc.record(
  {
    workflow,
    images: mostly(fc.array(file, { maxLength: 3 })),
    files: mostly(fc.array(file, { maxLength: 3 })),
    overrides: mostly(fc.dictionary(text, json)),
    credentials: mostly(fc.array(fc.record({ url_pattern: text, auth: json }), { maxLength: 2 })),
    output: mostly(output),
    s3Config: mostly(fc.dictionary(text, text)),
    strict: mostly(fc.boolean()),
    params: mostly(fc.dictionary(text, json)),
    extra_pnginfo: mostly(fc.dictionary(text, json)),
    comfy_org_api_key: json,
  },
  { requiredKeys: [] },
);
/** A workflow and at most one other field. */
const simple = fc
  .tuple(workflow, input, fc.constantFrom('images', 'output', 'overrides', 'strict', 'none'))
  .map(([graph, rest, field]) => ({
    workflow: graph,
    ...Object.fromEntries(Object.entries(rest).filter(([name]) => name === field)),
  }));

/** @returns the code of the error, or `accepted`. Anything but an error with a code is thrown on. */
function fateOf(sent: JsonText): string {
  try {
    parseInput(sent);
    return 'accepted';
  } catch (error) {
    if (isWorkerError(error)) return error.code;
    throw error;
  }
}

test('any JSON as input is accepted or refused with a code of the input', () => {
  const fates = new Set<string>();
  const anything = fc.oneof(
    { weight: 3, arbitrary: input },
    { weight: 3, arbitrary: simple },
    json,
  );
  fc.assert(
    fc.property(anything, (sent) => {
      const fate = fateOf(JsonText.of(sent));
      fates.add(fate);
      expect(fate).toMatch(/^(?:accepted$|input\.|workflow\.)/);
    }),
    RUNS,
  );
  // The inputs reach the checks behind the first one.
  expect([...fates]).toEqual(
    expect.arrayContaining(['accepted', 'input.invalid', 'input.images_invalid']),
  );
});

test('an accepted input has lists where lists are promised, and a workflow', () => {
  fc.assert(
    fc.property(simple, (sent) => {
      if (fateOf(JsonText.of(sent)) !== 'accepted') return;
      const { images, files, credentials, workflow } = parseInput(JsonText.of(sent));
      expect([images, files, credentials].every(Array.isArray)).toBe(true);
      expect(workflow instanceof JsonText || typeof workflow.name === 'string').toBe(true);
    }),
    RUNS,
  );
});

test('an input that is a string is accepted only when it is JSON of an object', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (sent) => {
      const parsed = JsonText.maybeParse(sent);
      const fate = fateOf(JsonText.of(sent));
      if (parsed?.kind !== 'object') expect(fate).toBe('input.not_json');
    }),
    RUNS,
  );
});
