import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isWorkerError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';
import { executionMs, verdict } from './outcome.ts';

const json = fc.jsonValue({ maxDepth: 2 });
const body = fc.record(
  { timestamp: json, node_id: json, node_type: json, exception_message: json, traceback: json },
  { requiredKeys: [] },
);
const type = fc.constantFrom(
  'execution_start',
  'execution_success',
  'execution_error',
  'execution_interrupted',
  'execution_cached',
);
const message = fc.oneof(fc.tuple(type, fc.oneof(body, json)), fc.array(json), json);

/** Entries of the right shape with right and wrong parts. */
const entry = fc.record(
  {
    outputs: fc.oneof(fc.dictionary(fc.string({ maxLength: 3 }), json), json),
    status: fc.oneof(
      fc.record(
        { status_str: fc.constantFrom('success', 'error', 'odd'), messages: fc.array(message) },
        { requiredKeys: [] },
      ),
      json,
    ),
  },
  { requiredKeys: [] },
);

test('any history entry gives a verdict, and a problem in words unless the prompt succeeded', () => {
  const quiet = { failure: undefined, interrupted: undefined };
  const endings = new Set<string>();
  fc.assert(
    fc.property(fc.oneof({ weight: 5, arbitrary: entry }, json), (sent) => {
      const { ending, problem } = verdict(JsonText.of(sent), quiet);
      endings.add(ending);
      expect(typeof problem).toBe(ending === 'succeeded' ? 'undefined' : 'string');
      expect(['number', 'undefined']).toContain(typeof executionMs(JsonText.of(sent)));
    }),
    { seed: 20261129, numRuns: 1000 },
  );
  expect([...endings].sort()).toEqual(['failed', 'interrupted', 'succeeded']);
});

test('a prompt with any history entry ends, with an outcome or an error with a code', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { doubtMs: 50 } });
  let outcomes = 0;
  await fc.assert(
    fc.asyncProperty(entry, async (sent) => {
      const submitted = scripted.next('POST /prompt');
      const running = comfy.runPrompt(
        { workflow: tinyWorkflow },
        { signal: never, log: silentLog },
      );
      await submitted;
      const promptId = scripted.running.at(-1) ?? '';
      scripted.end(promptId);
      scripted.history.set(promptId, JSON.stringify(sent));
      try {
        const { problems } = await running;
        expect(problems.every((text) => typeof text === 'string')).toBe(true);
        outcomes++;
      } catch (error) {
        if (!isWorkerError(error)) throw error;
      }
    }),
    { seed: 20261129, numRuns: 100 },
  );
  expect(outcomes).toBeGreaterThan(50);
});
