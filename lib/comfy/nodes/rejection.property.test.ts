import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonText } from '../../json.ts';
import { rejectionText } from './rejection.ts';

const RUNS = { seed: 20261129, numRuns: 500 };

const json = fc.jsonValue({ maxDepth: 2 });
const problem = fc.record(
  {
    type: fc.oneof(
      fc.constantFrom(
        'value_not_in_list',
        'value_smaller_than_min',
        'value_bigger_than_max',
        'required_input_missing',
        'return_type_mismatch',
        'invalid_input_type',
        'exception_during_validation',
        'custom_validation_failed',
      ),
      json,
    ),
    message: json,
    details: json,
    extra_info: fc.oneof(
      fc.record(
        { input_name: json, received_value: json, input_config: json, linked_node: json },
        { requiredKeys: [] },
      ),
      json,
    ),
  },
  { requiredKeys: [] },
);
const nodeErrors = fc.dictionary(
  fc.constantFrom('4', '5', 'x'),
  fc.oneof(
    fc.record(
      {
        class_type: fc.oneof(fc.constantFrom('CheckpointLoaderSimple', 'LoadImage'), json),
        errors: fc.oneof(fc.array(problem), json),
        dependent_outputs: json,
      },
      { requiredKeys: [] },
    ),
    json,
  ),
);

/** Bodies of the right shape with right and wrong parts. */
const body = fc.record(
  {
    error: fc.oneof(
      fc.record({ type: json, message: json, details: json }, { requiredKeys: [] }),
      json,
    ),
    node_errors: fc.oneof(nodeErrors, json),
    type: fc.oneof(fc.constant('prompt_outputs_failed_validation'), json),
    message: json,
  },
  { requiredKeys: [] },
);

/** `known` answers every question about a class. */
async function expectWords(text: string, known: unknown): Promise<string> {
  const words = await rejectionText(text, {
    workflow: JsonText.of({ 4: { class_type: 'LoadImage', inputs: { image: 'a.png' } }, 5: known }),
    nodeInfo: () => Promise.resolve(JsonText.of(known)),
  });
  expect(typeof words).toBe('string');
  expect(words).not.toBe('');
  return words;
}

test('any answer 400 in JSON is put into words', async () => {
  let bullets = 0;
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: body }, json), json, async (sent, known) => {
      if ((await expectWords(JSON.stringify(sent), known)).includes('• Node')) bullets++;
    }),
    RUNS,
  );
  expect(bullets).toBeGreaterThan(100);
});

test('any text as an answer 400 is put into words, also JSON that breaks off', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), async (sent) => {
      await expectWords(sent, null);
    }),
    RUNS,
  );
  await fc.assert(
    fc.asyncProperty(body, fc.nat(), async (sent, end) => {
      const text = JSON.stringify(sent);
      await expectWords(text.slice(0, end % (text.length + 1)), null);
    }),
    RUNS,
  );
});
