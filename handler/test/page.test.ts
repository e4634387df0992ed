import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from '@jest/globals';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { browserTest, chooseFile as open } from '../../lib/api/page/test/test-page.ts';
import { startPageRig } from './rigs/page-rig.ts';
import { loading, pictures, sampling } from './rigs/test-rig.ts';

const run = (page: Page) => page.getByRole('button', { name: 'Run', exact: true });
const jobPanel = (page: Page) => page.getByRole('region', { name: 'Job' });

browserTest('two clicks run the example and show its image', async () => {
  await using rig = await startPageRig({ comfy: { speed: 4 } });
  const { page } = rig;
  await page.getByRole('button', { name: 'Try the example' }).click();
  await run(page).click();
  await page.getByText(/Paint, step \d+ of 20/).waitFor();
  expect(await page.getByRole('progressbar').getAttribute('max')).toBe('100');
  await page.getByRole('link', { name: 'Save example_00001_.png' }).waitFor();
  expect(await page.evaluate(PICTURE_SIZE)).toEqual([1024, 768]);
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Save example_00001_.png' }).click();
  expect((await download).suggestedFilename()).toBe('example_00001_.png');
  expect(await page.getByRole('status').textContent()).toBe('Done: one file');
});

const PICTURE_SIZE =
  '(({ naturalWidth, naturalHeight }) => [naturalWidth, naturalHeight])(document.querySelector("figure img"))';

browserTest('nodes are listed in the order they run, with titles', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, sampling(), 'slow.json');
  expect(await page.getByRole('listitem').getByRole('heading').allTextContents()).toEqual([
    'EmptyImage',
    'The slow one',
    'SaveImage',
  ]);
  await page.getByRole('heading', { name: 'slow.json' }).waitFor();
});

browserTest('a cancelled job is interrupted in ComfyUI', async () => {
  await using rig = await startPageRig({ comfy: { speed: 1 } });
  const { page, api } = rig;
  await open(page, sampling({ steps: 500, stepMs: 40 }));
  await run(page).click();
  await page.getByText(/The slow one, step \d+ of 500/).waitFor();
  const interrupted = api.comfy.waitFor({ type: 'execution_interrupted' });
  await page.getByRole('button', { name: 'Cancel', exact: true }).click();
  await jobPanel(page).getByText('Cancelled').waitFor();
  await interrupted;
  await jobPanel(page).getByRole('heading').and(page.locator(':focus')).waitFor();
});

browserTest('a waiting job can be cancelled from the list', async () => {
  await using rig = await startPageRig({ comfy: { speed: 1 } });
  const { page } = rig;
  await open(page, sampling({ steps: 500, stepMs: 40 }));
  await run(page).click();
  await page.getByText(/The slow one, step/).waitFor();
  await run(page).click();
  const history = page.getByRole('region', { name: 'This session' }).getByRole('listitem');
  await history.nth(0).getByText('Waiting').waitFor();
  await history
    .nth(0)
    .getByRole('button', { name: /^Cancel/ })
    .click();
  await history.nth(0).getByText('Cancelled').waitFor();
  await history
    .nth(1)
    .getByRole('button', { name: /^Cancel/ })
    .click();
  await history.nth(1).getByText('Cancelled').waitFor();
});

browserTest('the reason of a refused workflow is shown at its node', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  const workflow = pictures();
  workflow['1'].inputs.width = 0;
  await open(page, workflow);
  await run(page).click();
  const card = page.locator('#node-1');
  await card.getByText(/^width 0 is below the minimum 1/).waitFor();
  expect(await card.getByLabel('width').getAttribute('aria-invalid')).toBe('true');
  await jobPanel(page).getByRole('button', { name: 'Node 1' }).click();
  await card.and(page.locator(':focus')).waitFor();

  await card.getByLabel('width').fill('32');
  await run(page).click();
  await page.getByRole('link', { name: /^Save T_/ }).waitFor();
  expect(await page.locator('.node.wrong').count()).toBe(0);
});

browserTest('a node that raises shows its message', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, {
    '1': { class_type: 'EmptyImage', inputs: { width: 8, height: 8, batch_size: 1, color: 0 } },
    '2': { class_type: 'ProbeFail', inputs: { image: ['1', 0], message: 'boom' } },
    '3': { class_type: 'SaveImage', inputs: { images: ['2', 0], filename_prefix: 'x' } },
  });
  await run(page).click();
  await page.locator('#node-2 .problems').getByText('boom').waitFor();
});

const EDITOR = {
  nodes: [
    { id: 1, type: 'EmptyImage', outputs: [{ type: 'IMAGE' }], widgets_values: [8, 8, 1, 0] },
    {
      id: 2,
      type: 'SaveImage',
      title: 'Keep it',
      inputs: [{ name: 'images', type: 'IMAGE', link: 1 }],
      widgets_values: ['edited'],
    },
  ],
  links: [[1, 1, 0, 2, 0, 'IMAGE']],
  version: 0.4,
};

browserTest('a file of the editor is converted, shown and run', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, EDITOR);
  await page.getByRole('heading', { name: 'Keep it' }).waitFor();
  await run(page).click();
  await page.getByRole('link', { name: 'Save edited_00001_.png' }).waitFor();
});

browserTest('a file of the editor that cannot be converted is explained node by node', async () => {
  await using rig = await startPageRig({ expected: /422/ });
  const { page } = rig;
  const [first, second] = EDITOR.nodes;
  const nodes = [
    first,
    second,
    { ...second, id: 3, type: 'Nope' },
    { ...second, id: 4, type: 'No' },
  ];
  await open(page, { ...EDITOR, nodes });
  const problems = page.getByRole('alert').getByRole('listitem');
  await problems.getByText('Node 3').waitFor();
  expect(await problems.allTextContents()).toEqual([
    expect.stringContaining('"Nope" is not installed'),
    expect.stringContaining('"No" is not installed'),
  ]);
  await open(page, pictures());
  await run(page).waitFor();
  expect(await page.getByRole('alert').count()).toBe(0);
});

browserTest('the workflow in the metadata of a picture or video is shown', async () => {
  await using rig = await startPageRig({ expected: /422/ });
  const { page } = rig;
  const choose = (...names: string[]) =>
    page.locator('#file').setInputFiles(names.map((name) => `test_resources/${name}`));
  await choose('media/embedded/comfyui.mp4');
  await page.getByRole('heading', { name: 'comfyui.mp4' }).waitFor();
  await choose('media/embedded/compressed.png');
  await page.getByRole('heading', { name: 'compressed.png' }).waitFor();
  await choose('images/paper-boat.jpg');
  await page.getByRole('alert').getByText('The JPEG file carries no workflow').waitFor();
});

browserTest('a workflow can be pasted, and dropped', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  const text = JSON.stringify(JSON.stringify(pictures()));
  await page.evaluate(`(() => {
    const clipboardData = new DataTransfer();
    clipboardData.setData('text/plain', ${text});
    document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
  })()`);
  await page.getByRole('heading', { name: 'Pasted workflow' }).waitFor();
  await page.evaluate(`(() => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([${text}], 'dropped.json'));
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer, bubbles: true }));
  })()`);
  await page.getByRole('heading', { name: 'dropped.json' }).waitFor();
});

browserTest('the workflow in an image made by ComfyUI is opened', async () => {
  await using rig = await startPageRig();
  const { page, api } = rig;
  await open(page, pictures({ prefix: 'first' }));
  await run(page).click();
  await page.getByRole('link', { name: 'Save first_00001_.png' }).waitFor();
  const made = await fetch(`${api.comfy.url}/view?filename=first_00001_.png&type=output`);
  const buffer = Buffer.from(await made.arrayBuffer());
  await page.locator('#file').setInputFiles({ name: 'made.png', mimeType: 'image/png', buffer });
  await page.getByRole('heading', { name: 'made.png' }).waitFor();
  expect(await page.locator('.node').count()).toBe(2);
});

browserTest('a 64-bit seed and a float are sent as they were written', async () => {
  await using rig = await startPageRig();
  const { page, api } = rig;
  const sent = JSON.stringify(sampling()).replace('"seed":1', '"seed":1.0,"noise_seed":7');
  await open(page, sent);
  const request = page.waitForRequest('**/run');
  await page.getByLabel('noise seed', { exact: true }).fill('18446744073709551615');
  await run(page).click();
  const workflow = sent.replace('"noise_seed":7', '"noise_seed":18446744073709551615');
  expect((await request).postData()).toBe(`{"input":{"workflow":${workflow}}}`);
  await page.getByRole('link', { name: /^Save S_/ }).waitFor();
  const history = await (await fetch(`${api.comfy.url}/history?max_items=1`)).text();
  expect(history).toContain('18446744073709551615');
});

browserTest('the dice button gives another seed, and arrow keys change it by one', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, sampling({ seed: 9 }));
  const seed = page.getByLabel('seed', { exact: true });
  await seed.press('ArrowUp');
  expect(await seed.inputValue()).toBe('10');
  await page.getByRole('button', { name: 'Another seed' }).click();
  expect(await seed.inputValue()).toMatch(/^\d{3,16}$/);
});

browserTest('a text in a number field is not sent', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, sampling());
  await page.getByLabel('steps').fill('many');
  await run(page).click();
  await page.locator('input:focus:invalid').waitFor();
  expect(await page.getByRole('region', { name: 'This session' }).count()).toBe(0);
});

browserTest('an image chosen for a node is shown, sent and used', async () => {
  await using rig = await startPageRig();
  const { page, api } = rig;
  await open(page, loading('missing.png'));
  const create = { width: 8, height: 8, channels: 3, background: 'red' } as const;
  const buffer = await sharp({ create }).png().toBuffer();
  const chooser = page.waitForEvent('filechooser');
  await page.getByLabel('image').click();
  await (await chooser).setFiles({ name: 'red one.png', mimeType: 'image/png', buffer });
  await page.getByText('Sent along with the job').waitFor();
  await run(page).click();
  await page.getByRole('link', { name: 'Save L_00001_.png' }).waitFor();
  const made = await fetch(`${api.comfy.url}/view?filename=L_00001_.png&type=output`);
  const { dominant } = await sharp(Buffer.from(await made.arrayBuffer())).stats();
  expect(dominant.r).toBeGreaterThan(200);
});

browserTest('the page can be used with the keyboard alone', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  const focus = page.locator(':focus');
  const tabTo = async (name: string) => {
    for (let presses = 0; presses < 40; presses++) {
      await page.keyboard.press('Tab');
      if ((await focus.textContent())?.trim() === name) return;
    }
    throw new Error(`Tab never came to ${name}`);
  };
  await tabTo('Try the example');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Example' }).and(focus).waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.type('A boat. ');
  await page.keyboard.press('Control+Enter');
  await page.getByRole('link', { name: /^Save example_/ }).waitFor();
  await tabTo('Run');
  await tabTo('As code');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog', { name: 'The same job, without this page' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'As code' }).and(focus).waitFor();
  await tabTo('Save');
});

browserTest('on a phone nothing is wider than the screen', async () => {
  await using rig = await startPageRig({ width: 360 });
  const { page } = rig;
  const overhang = () =>
    page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  expect(await overhang()).toBe(0);
  await page.getByRole('button', { name: 'Try the example' }).click();
  await run(page).click();
  await page.getByRole('link', { name: /^Save example_/ }).waitFor();
  expect(await overhang()).toBe(0);
  await page.getByRole('button', { name: 'As code' }).click();
  expect(await overhang()).toBe(0);
});

browserTest('the page follows the dark mode of the system', async () => {
  const ground = async (colorScheme: 'light' | 'dark') => {
    await using rig = await startPageRig({ colorScheme });
    return await rig.page.evaluate('getComputedStyle(document.body).backgroundColor');
  };
  expect(await ground('light')).not.toEqual(await ground('dark'));
});

browserTest('a job of this session can be run again unchanged, or opened in the form', async () => {
  await using rig = await startPageRig();
  const { page } = rig;
  await open(page, sampling({ prefix: 'one' }));
  await run(page).click();
  await page.getByRole('link', { name: 'Save one_00001_.png' }).waitFor();
  await open(page, pictures());
  const history = page.getByRole('region', { name: 'This session' }).getByRole('listitem');
  await history.getByRole('button', { name: /again$/ }).click();
  await history.nth(1).waitFor();
  await page.getByRole('link', { name: /^Save one_/ }).waitFor();
  expect(await page.locator('.node').count()).toBe(2);
  await history
    .nth(0)
    .getByRole('button', { name: /on the form$/ })
    .click();
  await page.getByLabel('steps').waitFor();
});

browserTest('the page asks once for the key of a worker', async () => {
  await using rig = await startPageRig({
    environment: { API_KEY: 'open sesame' },
    expected: /401/,
  });
  const { page } = rig;
  await open(page, pictures());
  await run(page).click();
  await page.getByLabel('API key').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('It did not take the last one.').waitFor();
  await page.getByLabel('API key').fill('open sesame');
  await page.getByRole('button', { name: 'Use it' }).click();
  await page.getByRole('link', { name: 'Save T_00001_.png' }).waitFor();
  await page.reload();
  await open(page, pictures());
  await run(page).click();
  await page.getByRole('link', { name: /^Save T_/ }).waitFor();
});

browserTest('the SDK snippet of the page sends the same request, with the same seed', async () => {
  await using rig = await startPageRig();
  const { page, api } = rig;
  const sent = JSON.stringify(sampling()).replace('"seed":1', '"seed":1,"noise_seed":1');
  await open(page, sent);
  await page.getByLabel('noise seed', { exact: true }).fill('18446744073709551615');
  await page.getByRole('button', { name: 'As code' }).click();
  const snippet = (await page.locator('#code-sdk').textContent()) ?? '';
  expect(await runSnippet(snippet)).toContain('COMPLETED');
  const history = await (await fetch(`${api.comfy.url}/history?max_items=1`)).text();
  expect(history).toContain('18446744073709551615');
});

async function runSnippet(snippet: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'snippet-'));
  try {
    const sdk = import.meta.resolve('runpod-sdk');
    const file = join(folder, 'snippet.mjs');
    await writeFile(file, snippet.replace("'runpod-sdk'", JSON.stringify(sdk)));
    return (await promisify(execFile)(process.execPath, [file])).stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
