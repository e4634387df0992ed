import { expect } from '@jest/globals';
import sharp from 'sharp';
import { newColour, openLiveComfy } from '../rigs/live-rig.ts';
import { pictures, type Posted } from '../rigs/test-rig.ts';

/** A plain job, a job from the cache, jobs in a row: against any ComfyUI. */

const live = await openLiveComfy();

const pixels = (posted: Posted, at = 0) =>
  sharp(Buffer.from(posted.output?.images?.[at]?.data ?? '', 'base64'))
    .removeAlpha()
    .raw();

async function colourOf(posted: Posted): Promise<string> {
  return (await pixels(posted).toBuffer()).subarray(0, 3).toString('hex');
}

live.test(
  'a workflow runs and its images come back as base64, in the shape clients know',
  async () => {
    await using rig = await live.startRig();
    const posted = await rig.run({ workflow: pictures({ count: 2, color: 0x336699 }) });
    const image = { filename: expect.stringMatching(/^T_\d{5}_\.png$/), type: 'base64' };
    expect(posted).toEqual({
      output: {
        images: [
          { ...image, data: expect.any(String) },
          { ...image, data: expect.any(String) },
        ],
      },
    });
    const { data, info } = await pixels(posted, 1).toBuffer({ resolveWithObject: true });
    expect(info).toMatchObject({ width: 32, height: 32 });
    expect(data.subarray(0, 3).toString('hex')).toBe('336699');
    expect(rig.relay.requests).toContain('POST /prompt');
  },
);

live.test('numbers reach ComfyUI as they were sent', async () => {
  await using rig = await live.startRig();
  const meta = '{"seed":18446744073709551615,"weight":1.0,"small":1e-7}';
  const workflow = JSON.stringify(pictures()).replace('"2":{', `"2":{"_meta":${meta},`);
  rig.platform.submitText(`{"id":"numbers-${Date.now()}","input":{"workflow":${workflow}}}`);
  await rig.ended(0);
  const [promptId = ''] = rig.relay.prompts;
  const history = await (await fetch(`${live.url}/history/${promptId}`)).text();
  expect(history.replace(/\s/g, '')).toMatch(
    /"_meta":\{"seed":18446744073709551615,"weight":1\.0,"small":1e-0?7\}/,
  );
});

live.test('a workflow that only previews is a success without images', async () => {
  await using rig = await live.startRig();
  const workflow = {
    ...pictures(),
    '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
  };
  const { bodyText } = await rig.platform.result(rig.platform.submit({ workflow }));
  expect(bodyText).toBe('{"output":{"status":"success_no_images","images":[]}}');
});

live.test('a workflow that ComfyUI has in its cache returns its images again', async () => {
  await using rig = await live.startRig();
  const color = newColour();
  const job = { workflow: pictures({ color }) };
  const first = await rig.run(job);
  const again = await rig.run(job);
  expect(await colourOf(again)).toBe(color.toString(16).padStart(6, '0'));
  expect(await colourOf(first)).toBe(await colourOf(again));
  const { status } = await rig.ended(1);
  const [, cached] = status.messages.find(([type]) => type === 'execution_cached') ?? [];
  expect(cached?.nodes).toContain('1');
});

live.test(
  'a cached prompt without anything to save again is answered at once, with its previews',
  async () => {
    await using rig = await live.startRig();
    const color = newColour();
    const workflow = {
      ...pictures({ color }),
      '2': { class_type: 'PreviewImage', inputs: { images: ['1', 0] } },
    };
    for (let times = 0; times < 3; times++) {
      const posted = await rig.run({ workflow, output: { includeTemp: true } });
      expect(await colourOf(posted)).toBe(color.toString(16).padStart(6, '0'));
    }
  },
);

live.test(
  'with prefetch the next job waits in ComfyUI while the first one runs, and each gets its own image',
  async () => {
    await using rig = await live.startRig({ JOB_PREFETCH: '1' });
    const slow = rig.platform.submit({ workflow: await live.slow(2) });
    await rig.until('running', 0);
    const next = rig.platform.submit({ workflow: pictures({ color: 0x00ff00 }) });
    await rig.until('pending', 1);
    await rig.until('running', 0);
    expect((await rig.posted(slow)).output?.images).toMatchObject([{ type: 'base64' }]);
    expect(await colourOf(await rig.posted(next))).toBe('00ff00');
  },
);

live.test('parallel jobs with the same prefix get their own images', async () => {
  await using rig = await live.startRig({ JOB_CONCURRENCY: '3' });
  const colours = ['ff0000', '00ff00', '0000ff', 'ff0000', '00ff00', '0000ff'];
  const posted = await Promise.all(
    colours.map((colour) => rig.run({ workflow: pictures({ color: parseInt(colour, 16) }) })),
  );
  expect(await Promise.all(posted.map(colourOf))).toEqual(colours);
});

live.test(
  'progress names the node by its title, never falls, and never comes after the result',
  async () => {
    await using rig = await live.startRig({ PROGRESS_INTERVAL_MS: '50' });
    const jobId = rig.platform.submit({ workflow: await live.slow(2) });
    await rig.posted(jobId);
    const posts = (rig.platform.job(jobId)?.posts ?? []).map(
      ({ bodyText }) =>
        JSON.parse(bodyText) as { status?: string; output: Record<string, unknown> },
    );
    const progress = posts.filter(({ status }) => status === 'IN_PROGRESS');
    expect(progress.length).toBeGreaterThan(1);
    expect(progress.map(({ output }) => output)).toContainEqual(
      expect.objectContaining({ nodeTitle: expect.stringMatching(/^Blur \d+$/) }),
    );
    const percents = progress.map(({ output }) => Number(output.percent));
    expect(percents).toEqual([...percents].sort((a, b) => a - b));
    expect(posts.at(-1)?.status).toBeUndefined();
  },
);

live.test('overrides set inputs by title, and details tell versions and times', async () => {
  await using rig = await live.startRig();
  const workflow = pictures();
  const titled = { ...workflow, '2': { ...workflow['2'], _meta: { title: 'The saver' } } };
  const overrides = { 'The saver.filename_prefix': 'deep/over', '1.width': 24 };
  const { output } = await rig.run({ workflow: titled, overrides, output: { details: true } });
  expect(output).toMatchObject({
    images: [
      {
        filename: expect.stringMatching(/^over_\d{5}_\.png$/),
        ...{ subfolder: 'deep', nodeId: '2', title: 'The saver', mediaType: 'image/png' },
        ...{ width: 24, height: 32 },
      },
    ],
    timings: { executingMs: expect.any(Number) },
    versions: { comfyui: live.version },
  });
});
