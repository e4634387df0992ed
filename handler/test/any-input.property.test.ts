import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startRig } from './rigs/test-rig.ts';

/** Inputs of all kinds through the whole line: RunPod's stand-in, the worker, the embedded ComfyUI. */

const json = fc.jsonValue({ maxDepth: 2 });
/** Right in most cases. */
const mostly = <T>(right: fc.Arbitrary<T>, weight = 8) =>
  fc.oneof({ weight, arbitrary: right }, { weight: 1, arbitrary: json });
const value = fc.oneof(
  json,
  fc.constantFrom<unknown>(['1', 0], ['9', 0], ['1'], 16, -1, 1e300, 'T', '../T', '%date%', '\0'),
);
const node = fc.record({
  class_type: fc.oneof(
    fc.constantFrom('EmptyImage', 'SaveImage', 'LoadImage', 'ProbeText', 'PreviewImage'),
    fc.string(),
  ),
  inputs: fc.dictionary(
    fc.constantFrom('width', 'height', 'batch_size', 'color', 'images', 'image', 'text', 'x'),
    value,
  ),
});
const working = fc.constant({
  '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 1 } },
  '2': { class_type: 'SaveImage', inputs: { images: ['1', 0], filename_prefix: 'T' } },
});
const input = fc.record(
  {
    workflow: mostly(fc.oneof(working, fc.dictionary(fc.constantFrom('1', '2', '3'), node))),
    images: mostly(fc.array(fc.record({ name: value, image: value }), { maxLength: 2 })),
    output: mostly(
      fc.record(
        {
          nodes: mostly(fc.constantFrom(['2'], ['Save'])),
          convert: json,
          includeTemp: fc.boolean(),
          expect: json,
        },
        { requiredKeys: [] },
      ),
    ),
    overrides: mostly(fc.dictionary(fc.constantFrom('1.width', '1.x', 'EmptyImage.color'), value)),
    strict: fc.boolean(),
  },
  { requiredKeys: ['workflow'] },
);

/** A workflow and at most one other field. */
const simple = fc
  .tuple(input, fc.constantFrom('images', 'output', 'overrides', 'strict', 'none'))
  .map(([sent, field]) =>
    Object.fromEntries(
      Object.entries(sent).filter(([name]) => name === 'workflow' || name === field),
    ),
  );

test('every input gets one valid result: an output, or an error in words, and the next job runs', async () => {
  await using rig = await startRig();
  let delivered = 0;
  const ask = async (sent: unknown) => {
    const { output, error } = await rig.run(sent);
    if (error === undefined) {
      expect(typeof output).toBe('object');
      delivered++;
    } else {
      expect(typeof error).toBe('string');
      expect(error).not.toBe('');
      // The text of a defect of the worker.
      expect(error).not.toMatch(/is not a function|of undefined|of null|call stack|error_type/);
    }
  };
  await fc.assert(
    fc.asyncProperty(fc.oneof({ weight: 5, arbitrary: simple }, input, json), async (sent) => {
      // RunPod hands out no job without an input.
      await ask(sent ?? {});
    }),
    { seed: 20261129, numRuns: 300 },
  );
  expect(delivered).toBeGreaterThan(20);
  expect(JSON.stringify(rig.lines)).not.toContain('worker.unexpected');
});
