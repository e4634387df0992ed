import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isWorkerError } from '../../lib/errors.ts';
import { JsonText } from '../../lib/json.ts';
import { parseInput } from './job-input.ts';

/** Always the same inputs: a new one that fails belongs into a test with a name. */
const RUNS = { seed: 20261129, numRuns: 2000 };

const json = fc.jsonValue({ maxDepth: 4 });
const text = fc.oneof(fc.string(), fc.constantFrom('', 'a.png', '../a', 'http://a.b/c', 'AAAA'));
const node = fc.record(
  { class_type: fc.oneof(text, json), inputs: fc.oneof(fc.dictionary(text, json), json) },
  { requiredKeys: [] },
);
const workflow = fc.oneof(fc.dictionary(fc.string({ maxLength: 3 }), fc.oneof(node, json)), json);
const file = fc.record(
  { name: fc.oneof(text, json), image: fc.oneof(text, json), url: text, data: text, type: text },
  { requiredKeys: [] },
);
const output = fc.record(
  {
    nodes: fc.oneof(fc.array(text), json),
    delivery: fc.oneof(fc.constantFrom('inline', 's3', 'auto'), json),
    put: fc.oneof(fc.array(fc.record({ url: text, match: text }, { requiredKeys: [] })), json),
    convert: json,
    expect: json,
  },
  { requiredKeys: [] },
);

/** Inputs that have the right fields with right, nearly right and wrong values. */
const input = fc.record(
  {
    workflow,
    images: fc.oneof(fc.array(file), json),
    files: fc.oneof(fc.array(file), json),
    overrides: fc.oneof(fc.dictionary(text, json), json),
    credentials: fc.oneof(fc.array(fc.record({ url_pattern: text, auth: json })), json),
    output: fc.oneof(output, json),
    s3Config: fc.oneof(fc.dictionary(text, text), json),
    strict: json,
    params: json,
    extra_pnginfo: json,
    comfy_org_api_key: json,
  },
  { requiredKeys: [] },
);

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
  const anything = fc.oneof({ weight: 4, arbitrary: input }, json, fc.json());
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
    fc.property(input, (sent) => {
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
