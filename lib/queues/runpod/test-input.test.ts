import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { readTestInput } from './test-input.ts';

test('--test_input is a job with the id local_test, and its text is kept', async () => {
  const testInput = '{"input":{"10":1.0,"2":18446744073709551615}}';
  const job = await readTestInput({ testInput });
  expect(job.jobId).toBe('local_test');
  expect(job.input.text).toBe('{"10":1.0,"2":18446744073709551615}');
  expect(job.source.text).toBe(testInput);
});

test('any JSON may be the input', async () => {
  expect((await readTestInput({ testInput: '{"input":1}' })).input.text).toBe('1');
  expect((await readTestInput({ testInput: '{"input":false}' })).input.text).toBe('false');
});

test('a job may bring its id and batch', async () => {
  const testInput = '{"id":"mine","batchId":"b1","input":1}';
  expect(await readTestInput({ testInput })).toMatchObject({ jobId: 'mine', batchId: 'b1' });
});

test('--test_input is preferred to the file, which is read when there is no flag', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'test_input.json');
  await writeFile(file, '\uFEFF{"input":"of the file"}\n');
  expect((await readTestInput({ file })).input.text).toBe('"of the file"');
  const job = await readTestInput({ file, testInput: '{"input":"of the flag"}' });
  expect(job.input.text).toBe('"of the flag"');
});

test('without a file the message says what to do', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'test_input.json');
  await expect(readTestInput({ file })).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringMatching(
      /test_input\.json: there is no such file\. Set RUNPOD_WEBHOOK_GET_JOB .* --test_input/,
    ),
  });
  await expect(readTestInput({ file: folder.path })).rejects.toThrow('it cannot be read: EISDIR');
});

test.each([
  ['{"input":', 'it is not JSON'],
  ['', 'it is not JSON'],
  ['[1]', 'expected an object with an "input", got a value of kind array'],
  ['{"input":null}', '"input" is null'],
  ['{"prompt":{},"images":[]}', 'expected an "input", found "prompt", "images"'],
  ['{}', 'expected an "input", found nothing'],
])('an input that cannot be run is refused: %s', async (testInput, why) => {
  await expect(readTestInput({ testInput })).rejects.toMatchObject({
    code: 'config.invalid',
    message: expect.stringContaining(`No job can be read from --test_input: ${why}`),
  });
});

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'local-job-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
