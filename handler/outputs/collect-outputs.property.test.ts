import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JsonText } from '../../lib/json.ts';
import { collectOutputs } from './collect-outputs.ts';

const json = fc.jsonValue({ maxDepth: 4 });
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
    fc.oneof(fc.array(file), fc.array(fc.array(file)), json),
  ),
  json,
);

test('any outputs of a history entry are files with names, texts, and problems in words', () => {
  let found = 0;
  fc.assert(
    fc.property(fc.oneof(fc.dictionary(fc.string(), nodeOutput), json), (sent) => {
      const { outputFiles, texts, problems } = collectOutputs({
        promptId: 'p',
        ending: 'succeeded',
        outputs: JsonText.of(sent),
      });
      for (const { filename, subfolder, type, key } of outputFiles) {
        expect(filename).not.toBe('');
        for (const part of [filename, subfolder, type, key]) expect(typeof part).toBe('string');
      }
      for (const { text } of texts) expect(typeof text).toBe('string');
      for (const text of problems) expect(text).not.toBe('');
      found += outputFiles.length;
    }),
    { seed: 20261129, numRuns: 3000 },
  );
  expect(found).toBeGreaterThan(500);
});
