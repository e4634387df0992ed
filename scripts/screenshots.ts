/**
 * Takes the screenshots of the web page in `docs/images/`, with the embedded ComfyUI.
 *
 *     node scripts/screenshots.ts
 */
import { mkdir } from 'node:fs/promises';
import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { startApiRig } from '../handler/test/rigs/api-rig.ts';
import { findBrowser, launchBrowser } from '../lib/api/page/test/browser.ts';

const FOLDER = 'docs/images';

async function takePictures(executablePath: string): Promise<void> {
  await using parts = new AsyncDisposableStack();
  const { url } = parts.use(await startApiRig({ comfy: { speed: 0.7 } }));
  const browser = await launchBrowser(executablePath);
  parts.defer(() => browser.close());
  await mkdir(FOLDER, { recursive: true });
  for (const colorScheme of ['light', 'dark'] as const) {
    await takePair(await openPage(browser, { url, colorScheme }), colorScheme);
  }
}

async function openPage(
  browser: Browser,
  { url, colorScheme }: { readonly url: string; readonly colorScheme: 'light' | 'dark' },
): Promise<Page> {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1280, height: 860 } });
  await page.goto(url);
  return page;
}

/** One screenshot while a job runs, one when it is done. Random seeds avoid ComfyUI's cache. */
async function takePair(page: Page, name: string): Promise<void> {
  const run = page.getByRole('button', { name: 'Run', exact: true });
  await page.getByRole('button', { name: 'Try the example' }).click();
  await page.getByLabel('New seeds').check();
  await run.click();
  await page.getByRole('link', { name: /^Save example_/ }).waitFor();
  await save(page, `page-${name}`);
  await page.getByLabel('text').first().fill(OTHER_PROMPT);
  await run.click();
  await page.getByText(/step 1[3-9] of/).waitFor();
  await page.getByAltText('Preview').waitFor();
  await save(page, `page-${name}-running`);
}

async function save(page: Page, name: string): Promise<void> {
  const file = `${FOLDER}/${name}.png`;
  const { size } = await sharp(await page.screenshot())
    .png({ palette: true, quality: 95, dither: 1, effort: 10 })
    .toFile(file);
  console.log(`${file}  ${Math.ceil(size / 1000)} kB`);
}

const OTHER_PROMPT = 'a lighthouse above a lavender sea, last light, gentle waves';

const browser = findBrowser();
if (browser === undefined) throw new Error('There is no Chromium here: apt-get install chromium');
await takePictures(browser);
