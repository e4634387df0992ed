import { expect, test } from '@jest/globals';
import { ScriptedComfy, type ScriptedRequest } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';

const request = { workflow: tinyWorkflow };
const options = { signal: never, log: silentLog };
const promptIdOf = ({ body }: ScriptedRequest) =>
  (JSON.parse(body.toString()) as { prompt_id: string }).prompt_id;

test('a queued prompt whose answer was lost is not posted again', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', (asked, message) => {
    scripted.record(promptIdOf(asked));
    message.socket.resetAndDestroy();
    return undefined;
  });
  expect((await comfy.runPrompt(request, options)).ending).toBe('succeeded');
  expect(scripted.count('POST /prompt')).toBe(1);
});

test('a prompt that did not arrive is posted once more, under the same id', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { unansweredMs: 60 } });
  scripted.script('POST /prompt', (_, message) => {
    scripted.script('POST /prompt', (asked) => {
      scripted.end(promptIdOf(asked));
      return { body: JSON.stringify({ prompt_id: promptIdOf(asked) }) };
    });
    message.socket.resetAndDestroy();
    return undefined;
  });
  const { promptId } = await comfy.runPrompt(request, options);
  const posts = scripted.requests.filter(({ route }) => route === 'POST /prompt');
  expect(posts.map(promptIdOf)).toEqual([promptId, promptId]);
});

test('a prompt is not posted a third time', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { unansweredMs: 20 } });
  scripted.script('POST /prompt', (_, message) => {
    message.socket.resetAndDestroy();
    return undefined;
  });
  await expect(comfy.runPrompt(request, options)).rejects.toMatchObject({
    code: 'comfy.queue_failed',
    message: expect.stringMatching(
      /^Error queuing workflow: \[POST\] http:.*\/prompt: /,
    ) as unknown as string,
  });
  expect(scripted.count('POST /prompt')).toBe(2);
});

test('a prompt is not lost when ComfyUI queues it and answers 500', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', (asked) => {
    scripted.end(promptIdOf(asked));
    return { status: 500 };
  });
  expect((await comfy.runPrompt(request, options)).ending).toBe('succeeded');
});

test.each([
  [
    { status: 500 },
    'Error queuing workflow: 500 Server Error: Internal Server Error for url: URL/prompt',
  ],
  [
    { status: 413 },
    'Error queuing workflow: 413 Client Error: Payload Too Large for url: URL/prompt',
  ],
  [{ status: 404 }, 'Error queuing workflow: 404 Client Error: Not Found for url: URL/prompt'],
  [
    { body: '{"number":1,"node_errors":{}}' },
    `Missing 'prompt_id' in queue response: {"number":1,"node_errors":{}}`,
  ],
  [{ body: '[1]' }, 'Unexpected error queuing workflow: expected an object, got [1]'],
])('an answer to /prompt of %j fails with a text that clients match on', async (reply, text) => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', () => reply);
  await expect(comfy.runPrompt(request, options)).rejects.toMatchObject({
    code: 'comfy.queue_failed',
    message: text.replace('URL', scripted.url),
  });
  expect(scripted.count('POST /prompt')).toBe(1);
});

test('an answer that is not JSON is quoted', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', () => ({ body: '<h1>proxy</h1>' }));
  await expect(comfy.runPrompt(request, options)).rejects.toThrow(
    /^Error queuing workflow: .*did not answer with JSON.*<h1>proxy<\/h1>/,
  );
});

test('a rejected workflow is not cancelled', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', () => ({ status: 400, body: '{"error":"no"}' }));
  await expect(comfy.runPrompt(request, options)).rejects.toMatchObject({
    code: 'comfy.rejected',
    message: 'no. Raw response: {"error":"no"}',
  });
  expect(scripted.count('POST /queue')).toBe(0);
});

test('a rejection for an unknown checkpoint lists the installed ones', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const required = { ckpt_name: [['a.safetensors', 'b.safetensors'], {}] };
  scripted.script('GET /object_info', ({ path }) => {
    expect(path).toBe('/object_info/CheckpointLoaderSimple');
    return { body: JSON.stringify({ CheckpointLoaderSimple: { input: { required } } }) };
  });
  const error = {
    type: 'value_not_in_list',
    message: 'Value not in list',
    details: '(list of length 30)',
  };
  const extra_info = {
    input_name: 'ckpt_name',
    input_config: null,
    received_value: 'c.safetensors',
  };
  const node_errors = {
    4: { class_type: 'CheckpointLoaderSimple', errors: [{ ...error, extra_info }] },
  };
  scripted.script('POST /prompt', () => ({
    status: 400,
    body: JSON.stringify({ error: { type: 'prompt_outputs_failed_validation' }, node_errors }),
  }));
  await expect(comfy.runPrompt(request, options)).rejects.toThrow(
    'Workflow validation failed:\n' +
      '• Node 4 (CheckpointLoaderSimple): ckpt_name "c.safetensors" is not installed; available: a.safetensors, b.safetensors\n\n' +
      'Workflow validation failed — the following referenced files are not available on this worker:\n' +
      '• c.safetensors (ckpt_name of node 4, CheckpointLoaderSimple)\n\n' +
      'Add these files to the worker, or use files that it has.\n\n' +
      'Available checkpoint models: a.safetensors, b.safetensors',
  );
});
