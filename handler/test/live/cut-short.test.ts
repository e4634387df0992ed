import { expect } from '@jest/globals';
import { openLiveComfy, type LiveRig } from '../rigs/live-rig.ts';
import { pictures, type Posted } from '../rigs/test-rig.ts';

/** Jobs that are stopped, interrupted or out of time: against any ComfyUI. */

const live = await openLiveComfy();

/** Saves one image at once, and another one after a long time. */
async function slow(seconds = 60) {
  const nodes = await live.slow(seconds);
  const { '1': early1, '2': saver } = pictures({ prefix: 'early' });
  const early2 = { ...saver, inputs: { ...saver.inputs, images: ['early1', 0] } };
  return { ...nodes, early1, early2 };
}

async function wasInterrupted(rig: LiveRig, at: number): Promise<void> {
  const { status } = await rig.ended(at);
  expect(status.messages.map(([type]) => type)).toContain('execution_interrupted');
}

const namesIn = ({ output }: Posted) =>
  output?.images?.map(({ filename }) => filename.replace(/_.*$/, ''));

live.test(
  'a job that the platform stops is interrupted in ComfyUI, and nothing is posted for it',
  async () => {
    await using rig = await live.startRig();
    const jobId = rig.platform.submit({ workflow: await slow() });
    await rig.until('running', 0);
    rig.platform.stopJob(jobId);
    await wasInterrupted(rig, 0);
    expect(namesIn(await rig.run({ workflow: pictures() }))).toEqual(['T']);
    expect(rig.platform.job(jobId)?.posts).toEqual([]);
  },
);

live.test(
  'a job that is stopped while it waits in ComfyUI is removed from the queue, and the running one continues',
  async () => {
    await using rig = await live.startRig({ JOB_PREFETCH: '1' });
    const running = rig.platform.submit({ workflow: await live.slow(3) });
    await rig.until('running', 0);
    const waiting = rig.platform.submit({ workflow: pictures() });
    const waitingPrompt = await rig.until('pending', 1);
    rig.platform.stopJob(waiting);
    expect(namesIn(await rig.posted(running))).toEqual(['slow']);
    expect(namesIn(await rig.run({ workflow: pictures({ prefix: 'next' }) }))).toEqual(['next']);
    const history = await fetch(`${live.url}/history/${waitingPrompt}`);
    expect(await history.json()).toEqual({});
  },
);

live.test(
  'a job that runs out of time is interrupted, and returns what was saved before',
  async () => {
    await using rig = await live.startRig();
    await rig.run({ workflow: pictures() }); // after it, ComfyUI's classes are known
    const workflow = await slow();
    const posted = await rig.run({ workflow }, { policy: { executionTimeout: 4000 } });
    expect(posted.error).toMatch(/^Job took longer than 4 s/);
    expect(namesIn(posted)).toEqual(['early']);
    await wasInterrupted(rig, 1);
  },
);

live.test(
  'a prompt that somebody interrupts is a failure, with the saved files beside the error',
  async () => {
    await using rig = await live.startRig();
    const workflow = await slow();
    const saved = rig.relay.seen(/"type":\s*"executed"/);
    const jobId = rig.platform.submit({ workflow });
    const promptId = await rig.until('running', 0);
    await saved;
    await rig.interrupt(promptId);
    const posted = await rig.posted(jobId);
    expect(posted.error).toMatch(
      /^Workflow execution interrupted: Node Type: ImageBlur, Node ID: blur\d+$/,
    );
    expect(namesIn(posted)).toEqual(['early']);
  },
);
