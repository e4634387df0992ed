import { getEventListeners } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { JsonText } from '../../json.ts';
import type { Progress } from '../backend.ts';
import { ScriptedComfy } from '../scripted-comfy.ts';
import { never, openComfy, silentLog, tinyWorkflow } from '../test-comfy.ts';

const options = { signal: never, log: silentLog };
const posted = (comfy: ScriptedComfy) =>
  comfy.requests.findLast(({ route }) => route === 'POST /prompt')!;

test("workflow, key and metadata reach ComfyUI character for character, with the worker's ids", async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const source =
    '{"10":{"inputs":{"seed":18446744073709551615,"cfg":1.0}},\n "2":{"class_type":"ü"}}';
  const submitted = scripted.next('POST /prompt');
  const running = comfy.runPrompt(
    {
      workflow: JsonText.parse(source),
      apiKey: JsonText.parse('{"odd": 1.0}'),
      extraPnginfo: JsonText.parse('{"workflow": {"version": 1.0}}'),
    },
    options,
  );
  await submitted;
  scripted.end(scripted.running[0]!);
  const { promptId } = await running;

  expect(posted(scripted).headers['content-type']).toBe('application/json');
  expect(posted(scripted).body.toString()).toBe(
    `{"prompt":${source},"client_id":"${scripted.clientIds[0]!}","prompt_id":"${promptId}","extra_data":{"api_key_comfy_org":{"odd": 1.0},"extra_pnginfo":{"workflow": {"version": 1.0}}}}`,
  );
  expect(promptId).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
});

test('without a key there is no extra_data', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const submitted = scripted.next('POST /prompt');
  const running = comfy.runPrompt({ workflow: tinyWorkflow }, options);
  await submitted;
  scripted.end(scripted.running[0]!);
  await running;
  expect(posted(scripted).body.toString()).not.toContain('extra_data');
});

test('a prompt that ends before the answer to /prompt is read is not missed', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { pollIntervalMs: 60_000 });
  scripted.script('POST /prompt', async ({ body }) => {
    const promptId = promptIdOf(body);
    scripted.end(promptId, { outputs: { 2: { images: [] } } });
    await new Promise((resolve) =>
      scripted.sockets.values().next().value!.ping('', false, resolve),
    );
    return { body: JSON.stringify({ prompt_id: promptId }) };
  });
  const outcome = await comfy.runPrompt({ workflow: tinyWorkflow }, options);
  expect(outcome.ending).toBe('succeeded');
  expect(outcome.outputs?.text).toBe('{"2":{"images":[]}}');
});

test('all prompts share one websocket, opened before the first of them', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => {
    expect(scripted.sockets.size).toBe(1);
    return endAtOnce(scripted, body);
  });
  for (let i = 0; i < 5; i++) await comfy.runPrompt({ workflow: tinyWorkflow }, options);
  await Promise.all([1, 2, 3].map(() => comfy.runPrompt({ workflow: tinyWorkflow }, options)));
  expect(scripted.clientIds).toHaveLength(1);
});

test('callbacks get progress and outputs in order', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const heard: unknown[] = [];
  scripted.script('POST /prompt', ({ body }) => {
    const prompt_id = promptIdOf(body);
    scripted.tell('execution_start', { prompt_id });
    scripted.tell('execution_cached', { prompt_id, nodes: [] });
    scripted.tell('executing', { prompt_id, node: '1', display_node: '1' });
    scripted.tell('progress', { prompt_id, node: '1', value: 1, max: 2 });
    scripted.tellText(Buffer.alloc(100));
    scripted.tell('executing', { prompt_id, node: '2', display_node: '2' });
    scripted.tellText(
      `{"type":"executed","data":{"node":"2","output":{"b":[],"1":[NaN]},"prompt_id":"${prompt_id}"}}`,
    );
    scripted.tell('executed', { prompt_id, node: '1', output: null });
    scripted.tell('execution_success', { prompt_id });
    scripted.end(prompt_id);
    return { body: JSON.stringify({ prompt_id }) };
  });
  await comfy.runPrompt(
    { workflow: tinyWorkflow },
    {
      ...options,
      onOutput: (node, output) => heard.push([node, output.text]),
      onProgress: ({ percent, nodeTitle, step }: Progress) =>
        heard.push([percent, nodeTitle, step]),
    },
  );
  expect(heard).toEqual([
    [0, 'EmptyImage', undefined],
    [25, 'EmptyImage', 1],
    [50, 'Keep it', undefined],
    ['2', '{"b":[],"1":[NaN]}'],
    [100, 'Keep it', undefined],
  ]);
});

test('unusable frames are ignored', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => {
    const prompt_id = promptIdOf(body);
    for (const frame of [
      '',
      'null',
      '[1]',
      '"x"',
      '{',
      '{"type":7}',
      'NaN',
      '{"type":"executing","data":null}',
    ])
      scripted.tellText(frame);
    scripted.tell('executing', { node: '3' });
    scripted.tell('executed', { prompt_id });
    scripted.tell('progress', { prompt_id, node: '1', value: 'x' });
    scripted.tell('something_new', { prompt_id });
    scripted.tell('execution_error', null);
    scripted.tellText(Buffer.alloc(0));
    return endAtOnce(scripted, body);
  });
  expect((await comfy.runPrompt({ workflow: tinyWorkflow }, options)).problems).toEqual([]);
});

test('events of other prompts are ignored', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  const outputs: string[] = [];
  scripted.script('POST /prompt', ({ body }) => {
    scripted.tell('executed', { prompt_id: 'foreign', node: '9', output: { images: [] } });
    scripted.tell('execution_error', { prompt_id: 'foreign', node_id: '9' });
    scripted.tell('executing', { prompt_id: 'foreign', node: null });
    return endAtOnce(scripted, body);
  });
  const outcome = await comfy.runPrompt(
    { workflow: tinyWorkflow },
    { ...options, onOutput: (node) => outputs.push(node) },
  );
  expect(outcome).toMatchObject({ ending: 'succeeded', problems: [] });
  expect(outputs).toEqual([]);
});

test('the error text of a node that raises stays byte for byte, including the line break', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => {
    const error = { node_type: 'VAEDecode', node_id: '5', exception_message: 'boom\n' };
    scripted.tell('execution_error', { prompt_id: promptIdOf(body), ...error });
    return endAtOnce(scripted, body, {
      status_str: 'error',
      messages: [['execution_error', error]],
    });
  });
  const outcome = await comfy.runPrompt({ workflow: tinyWorkflow }, options);
  expect(outcome.ending).toBe('failed');
  expect(outcome.problems).toEqual([
    'Workflow execution error: Node Type: VAEDecode, Node ID: 5, Message: boom\n',
  ]);
});

test('a blocked branch is a warning, and the prompt succeeds', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => {
    scripted.tell('execution_error', {
      prompt_id: promptIdOf(body),
      node_id: '2',
      node_type: 'SaveImage',
      exception_type: 'ExecutionBlocked',
      exception_message: 'Execution Blocked: nope',
    });
    return endAtOnce(scripted, body);
  });
  const outcome = await comfy.runPrompt({ workflow: tinyWorkflow }, options);
  expect(outcome.ending).toBe('succeeded');
  expect(outcome.problems).toEqual(['Node 2 (SaveImage) did not run: Execution Blocked: nope']);
});

test('parts of a workflow that ComfyUI leaves out are reported', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => {
    const reply = endAtOnce(scripted, body);
    const errors = [{ type: 'required_input_missing', extra_info: { input_name: 'images' } }];
    const node_errors = { 2: { errors, class_type: 'SaveImage' } };
    return { body: JSON.stringify({ ...(JSON.parse(reply.body) as object), node_errors }) };
  });
  const outcome = await comfy.runPrompt({ workflow: tinyWorkflow }, options);
  expect(outcome.ending).toBe('succeeded');
  expect(outcome.problems).toEqual([
    'Node 2 (SaveImage "Keep it"): required input images is missing',
  ]);
});

test('a late history is waited for', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /history', () => {
    if (scripted.count('GET /history') > 3) scripted.unscript('GET /history');
    return { body: '{}' };
  });
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  expect((await comfy.runPrompt({ workflow: tinyWorkflow }, options)).ending).toBe('succeeded');
});

test('a missing history fails after a time limit with the text that clients match on', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { historyMs: 50 } });
  scripted.script('GET /history', () => ({ body: '{}' }));
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  await expect(comfy.runPrompt({ workflow: tinyWorkflow }, options)).rejects.toMatchObject({
    code: 'comfy.prompt_lost',
    message: expect.stringMatching(
      /^Prompt ID [0-9a-f-]{36} not found in history after execution\.$/,
    ) as unknown as string,
  });
});

test('without a history the error of the node is in the details', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url, { limits: { historyMs: 50 } });
  scripted.script('GET /history', () => ({ body: '{}' }));
  scripted.script('POST /prompt', ({ body }) => {
    scripted.tell('execution_error', { prompt_id: promptIdOf(body), node_id: '1' });
    return endAtOnce(scripted, body);
  });
  await expect(comfy.runPrompt({ workflow: tinyWorkflow }, options)).rejects.toMatchObject({
    message: 'Job processing failed, prompt ID not found in history.',
    details: [
      'Workflow execution error: Node Type: None, Node ID: 1, Message: None',
      expect.stringMatching(/^Prompt ID .* not found in history after execution\.$/),
    ],
  });
});

test.each([
  [
    { status: 500 },
    /^HTTP communication error with ComfyUI: 500 Server Error: Internal Server Error for url: http:.*\/history\//,
  ],
  [{ body: '<html>' }, /^An unexpected error occurred: .* did not answer with JSON/],
])('an unreadable history fails with the reason: %j', async (reply, text) => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /history', () => reply);
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  await expect(comfy.runPrompt({ workflow: tinyWorkflow }, options)).rejects.toThrow(text);
});

test('a history that answers with errors at first is read in the end', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('GET /history', () => {
    if (scripted.count('GET /history') >= 3) scripted.unscript('GET /history');
    return { status: 502 };
  });
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  expect((await comfy.runPrompt({ workflow: tinyWorkflow }, options)).ending).toBe('succeeded');
});

test('a callback that throws does not stop the prompt', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  const onDone = () => {
    throw new Error('a bug');
  };
  expect((await comfy.runPrompt({ workflow: tinyWorkflow }, { ...options, onDone })).ending).toBe(
    'succeeded',
  );
});

test('a prompt with an id from an old ComfyUI is followed', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', () => {
    scripted.running.push('its-own');
    return { body: '{"prompt_id":"its-own","number":1}' };
  });
  const looked = scripted.next('GET /queue');
  const running = comfy.runPrompt({ workflow: tinyWorkflow }, options);
  await looked;
  scripted.end('its-own');
  expect(await running).toMatchObject({ promptId: 'its-own', ending: 'succeeded' });
});

test('prompts leave no listeners on the signal', async () => {
  await using scripted = await ScriptedComfy.start();
  await using comfy = openComfy(scripted.url);
  scripted.script('POST /prompt', ({ body }) => endAtOnce(scripted, body));
  const { signal } = new AbortController();
  for (let i = 0; i < 20; i++) {
    await comfy.runPrompt({ workflow: tinyWorkflow }, { ...options, signal });
    scripted.history.clear();
    scripted.requests.length = 0;
  }
  await setImmediate(); // undici removes its listener shortly after the body was read
  expect(getEventListeners(signal, 'abort')).toEqual([]);
});

function promptIdOf(body: Buffer): string {
  return (JSON.parse(body.toString()) as { prompt_id: string }).prompt_id;
}

function endAtOnce(
  scripted: ScriptedComfy,
  body: Buffer,
  record?: Parameters<ScriptedComfy['end']>[1],
): { body: string } {
  const promptId = promptIdOf(body);
  scripted.end(promptId, record);
  return { body: JSON.stringify({ prompt_id: promptId, number: 0, node_errors: {} }) };
}
