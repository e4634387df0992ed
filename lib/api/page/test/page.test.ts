import { expect } from '@jest/globals';
import type { Page } from 'playwright-core';
import type { TestHandler } from '../../../worker/test-worker.ts';
import { startTestApi } from '../../test-api.ts';
import { browserTest, chooseFile, openPage } from './test-page.ts';

const WORKFLOW = {
  '1': { class_type: 'CLIPTextEncode', inputs: { text: 'a boat' } },
  '2': { class_type: 'Paint', inputs: { prompt: ['1', 0], seed: 1 }, _meta: { title: 'Painter' } },
};

const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==';

async function runOn(page: Page, workflow: unknown = WORKFLOW) {
  await chooseFile(page, workflow);
  await page.getByRole('button', { name: 'Run', exact: true }).click();
}

browserTest('a running job shows its preview, node and step', async () => {
  const gate = Promise.withResolvers<undefined>();
  const handler: TestHandler = async (_job, context) => {
    context.progress({ percent: 50, node: '2', nodeTitle: 'Painter', step: 3, steps: 6 });
    context.preview?.({ bytes: Buffer.from(PIXEL, 'base64'), mediaType: 'image/png', nodeId: '2' });
    await gate.promise;
    return { images: [{ filename: 'a.png', type: 'base64', data: PIXEL }] };
  };
  await using api = await startTestApi({ handler });
  await using opened = await openPage(api.url);
  const { page } = opened;
  await runOn(page);
  await page.getByAltText('Preview of the picture so far').waitFor();
  await page.getByText('Painter, step 3 of 6').waitFor();
  await page.locator('#node-2.working').waitFor();
  expect(await page.getByRole('status').textContent()).toBe('Working on Painter');
  gate.resolve(undefined);
  await page.getByRole('link', { name: 'Save a.png' }).waitFor();
  expect(await page.getByAltText('Preview of the picture so far').isVisible()).toBe(false);
  expect(await page.locator('.node.working').count()).toBe(0);
});

browserTest('errors of a successful job are shown beside its files', async () => {
  const handler: TestHandler = () => ({
    images: [{ filename: 'a.png', type: 'base64', data: PIXEL }],
    errors: ['Node 2 (Paint "Painter") did not run: nothing to paint'],
  });
  await using api = await startTestApi({ handler });
  await using opened = await openPage(api.url);
  const { page } = opened;
  await runOn(page);
  await page.locator('#node-2').getByText('nothing to paint').waitFor();
  await page.getByRole('link', { name: 'Save a.png' }).waitFor();
});

browserTest('links into a bucket, videos and texts each have their own display', async () => {
  const handler: TestHandler = () => ({
    images: [{ filename: 'a.png', type: 's3_url', data: 'https://bucket.example/a.png?key=1' }],
    videos: [{ filename: 'v.mp4', type: 'base64', data: 'AAAA' }],
    texts: [{ nodeId: '1', key: 'text', text: '<b>a cat</b>' }],
  });
  await using api = await startTestApi({ handler });
  await using opened = await openPage(api.url);
  const { page } = opened;
  await runOn(page);
  const link = page.getByRole('link', { name: 'Open a.png' });
  expect(await link.getAttribute('href')).toBe('https://bucket.example/a.png?key=1');
  expect(await page.getByRole('link', { name: 'Save a.png' }).count()).toBe(0);
  expect(await page.locator('video[controls]').count()).toBe(1);
  await page.getByText('<b>a cat</b>').waitFor();
});

browserTest('a job without result files gets a hint about Save Image nodes', async () => {
  const handler: TestHandler = () => ({ status: 'success_no_images', images: [] });
  await using api = await startTestApi({ handler });
  await using opened = await openPage(api.url);
  await runOn(opened.page);
  await opened.page.getByText(/Save Image.* node keeps pictures/).waitFor();
});

browserTest('a refused request shows the reason, and can be corrected', async () => {
  const environment = { API_RUN_MAX_BYTES: '2000' };
  await using api = await startTestApi({ handler: () => ({ images: [] }), environment });
  await using opened = await openPage(api.url, { expected: /413/ });
  const { page } = opened;
  await chooseFile(page, WORKFLOW);
  await page.getByLabel('text').fill('a boat '.repeat(400));
  await page.keyboard.press('Control+Enter');
  await page.getByRole('region', { name: 'Job' }).getByText('Failed').waitFor();
  await page
    .getByRole('region', { name: 'Job' })
    .getByText(/2,?000/)
    .waitFor();
  await page.getByLabel('text').fill('a boat');
  await page.keyboard.press('Control+Enter');
  await page.getByText(/node keeps pictures/).waitFor();
});

browserTest('the page says when the worker cannot be reached', async () => {
  await using api = await startTestApi({ handler: () => ({ images: [] }) });
  await using opened = await openPage(api.url, { expected: /ERR_CONNECTION_REFUSED/ });
  await chooseFile(opened.page, WORKFLOW);
  await api.api[Symbol.asyncDispose]();
  await opened.page.getByRole('button', { name: 'Run', exact: true }).click();
  await opened.page
    .getByRole('listitem')
    .getByText(/worker cannot be reached/)
    .waitFor();
});

browserTest('with eight jobs running, one can still be cancelled', async () => {
  const gate = Promise.withResolvers<undefined>();
  const handler: TestHandler = async () => {
    await gate.promise;
    return { images: [] };
  };
  await using api = await startTestApi({ handler });
  await using opened = await openPage(api.url);
  const { page } = opened;
  await chooseFile(page, WORKFLOW);
  const history = page.getByRole('region', { name: 'This session' }).getByRole('listitem');
  for (let job = 0; job < 8; job++) {
    await page.keyboard.press('Control+Enter');
    await history.nth(job).waitFor();
  }
  await history
    .nth(0)
    .getByRole('button', { name: /^Cancel/ })
    .click();
  await history.nth(0).getByText('Cancelled').waitFor();
  gate.resolve(undefined);
  await expect(history.getByText(/ s$/).nth(6).waitFor()).resolves.toBeUndefined();
});
