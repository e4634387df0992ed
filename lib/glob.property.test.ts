import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CredentialsSchema } from './download/credentials.ts';
import { GlobSchema, matchesGlob, MAX_WILDCARDS } from './glob.ts';

/** Few characters, so that patterns and texts have much in common. */
const pattern = fc
  .string({ unit: fc.constantFrom('a', 'b', '/', '*'), minLength: 1, maxLength: 60 })
  .filter((text) => GlobSchema.safeParse(text).success);
const piece = fc.string({ unit: fc.constantFrom('a', 'b', '/'), minLength: 1, maxLength: 12 });

function stepsFor(glob: string, text: string): number {
  let steps = 0;
  matchesGlob(glob, text, { barrier: '/', onStep: () => steps++ });
  return steps;
}

test('for any pattern, ten times the text costs at most about ten times the steps', () => {
  fc.assert(
    fc.property(pattern, piece, (glob, part) => {
      const own = stepsFor(glob, '');
      const short = stepsFor(glob, part.repeat(100)) - own;
      const long = stepsFor(glob, part.repeat(1000)) - own;
      expect(long).toBeLessThanOrEqual(11 * Math.max(short, 100));
      expect(long).toBeLessThanOrEqual(3 * (MAX_WILDCARDS + 1) * 1000 * part.length);
    }),
    { seed: 20261129, numRuns: 500 },
  );
});

test('a pattern for credentials is accepted only within the limits of all patterns', () => {
  const auth = { type: 'bearer', token: 't' };
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 4000 }), pattern), (glob) => {
      const parsed = CredentialsSchema.safeParse([{ url_pattern: glob, auth }]);
      expect(parsed.success).toBe(GlobSchema.safeParse(glob).success);
    }),
    { seed: 20261129, numRuns: 500 },
  );
});
