import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonText } from '../../lib/json.ts';
import { collectOutputs } from './collect-outputs.ts';

const json = fc.jsonValue({ maxDepth: 2 });
const name = fc.oneof(fc.constantFrom('a.png', '', '../a'), json);
const file = fc.oneof(
  fc.record(
    {
      filename: name,
      subfolder: name,
      type: fc.oneof(fc.constantFrom('output', 'temp', 'x'), json),
    },
    { requiredKeys: [] },
  ),
  json,
);
const nodeOutput = fc.oneof(
  fc.dictionary(
    fc.constantFrom('images', 'gifs', 'videos', 'text', 'result'),
    fc.oneof(fc.array(file, { maxLength: 4 }), fc.array(fc.array(file), { maxLength: 2 }), json),
    { maxKeys: 3 },
  ),
  json,
);

test('any outputs of a history entry are files with names, texts, and problems in words', () => {
  let found = 0;
  fc.assert(
    fc.property(fc.oneof(fc.dictionary(fc.string(), nodeOutput, { maxKeys: 3 }), json), (sent) => {
      const { outputFiles, texts, problems } = collectOutputs({
        promptId: 'p',
        ending: 'succeeded',
        outputs: JsonText.of(sent),
      });
      for (const { filename, subfolder, type, key } of outputFiles) {
        const parts = [filename, subfolder, type, key];
        expect(filename !== '' && parts.every((part) => typeof part === 'string')).toBe(true);
      }
      for (const { text } of texts) expect(typeof text).toBe('string');
      for (const text of problems) expect(text).not.toBe('');
      found += outputFiles.length;
    }),
    { seed: 20261129, numRuns: 600 },
  );
  expect(found).toBeGreaterThan(500);
});
