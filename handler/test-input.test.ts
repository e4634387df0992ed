import { expect, test } from '@jest/globals';
import { readTestInput } from './test-input.ts';

test('--test_input is a job with the id local_test, and its text is kept', () => {
  const text = '{"input":{"10":1.0,"2":18446744073709551615}}';
  const job = readTestInput(text);
  expect(job.jobId).toBe('local_test');
  expect(job.input.text).toBe('{"10":1.0,"2":18446744073709551615}');
  expect(job.source.text).toBe(text);
});

test('any JSON may be the input', () => {
  expect(readTestInput('{"input":1}').input.text).toBe('1');
  expect(readTestInput('{"input":false}').input.text).toBe('false');
});

test('a byte order mark before the job is ignored', () => {
  expect(readTestInput('\uFEFF{"input":"marked"}\n').input.text).toBe('"marked"');
});

test('a job may bring its id and batch', () => {
  const text = '{"id":"mine","batchId":"b1","input":1}';
  expect(readTestInput(text)).toMatchObject({ jobId: 'mine', batchId: 'b1' });
});

test.each([
  ['{"input":', 'it is not JSON'],
  ['', 'it is not JSON'],
  ['[1]', 'expected an object with an "input", got a value of kind array'],
  ['{"input":null}', '"input" is null'],
  ['{"prompt":{},"images":[]}', 'expected an "input", found "prompt", "images"'],
  ['{}', 'expected an "input", found nothing'],
])('an input that cannot be run is refused: %s', (text, why) => {
  expect(() => readTestInput(text)).toThrow(
    expect.objectContaining({
      code: 'config.invalid',
      message: expect.stringContaining(`No job can be read from --test_input: ${why}`),
    }),
  );
});
