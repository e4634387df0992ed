import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonText } from '../../lib/json.ts';
import { collectOutputs } from './collect-outputs.ts';

const json = fc.jsonValue({ maxDepth: 2 });
/** Right in most cases: an entry with one wrong part hides the parts next to it. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 8, arbitrary: right }, { weight: 1, arbitrary: json });
const name = mostly(fc.constantFrom('a.png', 'b.webp', '', '../a'));
const file = mostly(
  fc.record(
    {
      filename: name,
      subfolder: name,
      type: mostly(fc.constantFrom('output', 'temp', 'x')),
    },
    { requiredKeys: [] },
  ),
);
const nodeOutput = mostly(
  fc.dictionary(
    fc.constantFrom('images', 'gifs', 'videos', 'text', 'result'),
    mostly(fc.oneof(fc.array(file, { maxLength: 4 }), fc.array(fc.array(file), { maxLength: 2 }))),
    { maxKeys: 3 },
  ),
);

test('any outputs of a history entry are files with names, texts, and problems in words', () => {
  let found = 0;
  fc.assert(
    fc.property(mostly(fc.dictionary(fc.string(), nodeOutput, { maxKeys: 3 })), (sent) => {
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
    { seed: 20261129, numRuns: 1000 },
  );
  expect(found).toBeGreaterThan(500);
});
