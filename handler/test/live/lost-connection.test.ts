import { expect } from '@jest/globals';
import { openLiveComfy } from '../rigs/live-rig.ts';
import { pictures } from '../rigs/test-rig.ts';

/** Connections that break between the worker and any ComfyUI. */

const live = await openLiveComfy();

const MOMENTS = [
  ['when it opens', /"type":\s*"status"/],
  ['when the prompt is accepted', /"prompt_id":\s*"[^"]*",\s*"number"/],
  ['when the prompt starts', /"type":\s*"execution_start"/],
  ['while nodes run', /"node":\s*"blur1"/],
  ['when an output is made', /"type":\s*"executed"/],
  ['just before the end is reported', /"type":\s*"execution_success"/],
] as const;

for (const how of ['close', 'reset'] as const) {
  for (const [when, at] of MOMENTS) {
    live.test(`a socket that breaks (${how}) ${when} does not fail the job`, async () => {
      await using rig = await live.startRig();
      const workflow = await live.slow(0.5);
      const broken = rig.relay.breakSockets(how, at);
      const { output, error } = await rig.run({ workflow });
      await broken;
      expect(error).toBeUndefined();
      expect(output?.images).toHaveLength(1);
      expect((await rig.run({ workflow: pictures() })).output?.images).toHaveLength(1);
      expect(rig.relay.prompts).toHaveLength(2);
    });
  }
}

live.test('a socket that goes silent without closing does not block the job', async () => {
  await using rig = await live.startRig({ COMFY_PING_INTERVAL_S: '1' });
  const workflow = await live.slow(1);
  const broken = rig.relay.breakSockets('stall', /"node":\s*"blur1"/);
  expect((await rig.run({ workflow })).output?.images).toHaveLength(1);
  await broken;
});

live.test('a prompt whose acceptance got no answer runs once, not twice', async () => {
  await using rig = await live.startRig();
  rig.relay.loseAnswer('POST /prompt');
  expect((await rig.run({ workflow: pictures() })).output?.images).toHaveLength(1);
  expect(rig.relay.prompts).toHaveLength(1);
});

live.test('an image whose transfer breaks off is fetched again', async () => {
  await using rig = await live.startRig();
  rig.relay.loseAnswer('GET /view');
  const { output } = await rig.run({ workflow: pictures() });
  expect(output?.images).toHaveLength(1);
  expect(output).not.toHaveProperty('errors');
});

live.test('a ComfyUI that does not answer fails the job in the text clients know', async () => {
  await using rig = await live.startRig({ COMFY_API_AVAILABLE_MAX_RETRIES: '2' });
  const { host } = new URL(rig.relay.url);
  await rig.relay.down();
  expect(await rig.run({ workflow: pictures() })).toEqual({
    error: `ComfyUI server (${host}) not reachable after multiple retries.`,
  });
});

live.test(
  'a ComfyUI that is gone in the middle of a prompt fails the job, and it says so',
  async () => {
    await using rig = await live.startRig({ WEBSOCKET_RECONNECT_ATTEMPTS: '1' });
    const workflow = await live.slow(5);
    const running = rig.relay.seen(/"node":\s*"blur1"/);
    const jobId = rig.platform.submit({ workflow });
    await running;
    await rig.relay.down();
    expect((await rig.posted(jobId)).error).toBe(
      'WebSocket communication error: ComfyUI HTTP unreachable during websocket reconnect',
    );
    await rig.interrupt(await rig.until('running', 0));
  },
);
