import { afterAll, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { findBrowser, launchBrowser } from './browser.ts';
import { startApiRig, type ApiRig, type ApiRigOptions } from './api-rig.ts';

/** What the tests of the page share: a real browser before the real API, worker and ComfyUI in one process. */
export interface PageRig extends AsyncDisposable {
  readonly page: Page;
  readonly api: ApiRig;
}

export interface PageRigOptions extends ApiRigOptions {
  readonly width?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** What the console may complain about; anything else fails the test. */
  readonly expected?: RegExp;
}

const CHROMIUM = findBrowser();

/** A test that needs a browser; without one it is skipped, and says what to install. */
export const browserTest = CHROMIUM === undefined ? skipped() : test;

function skipped(): typeof test.skip {
  process.stderr.write(
    'SKIPPED: the page is not tested, there is no Chromium here. On Debian: apt-get install chromium\n',
  );
  return test.skip;
}

export async function startPageRig({
  width = 1200,
  colorScheme = 'light',
  expected,
  ...options
}: PageRigOptions = {}): Promise<PageRig> {
  const parts = new AsyncDisposableStack();
  const api = parts.use(await startApiRig(options));
  const context = await (
    await theBrowser()
  ).newContext({
    viewport: { width, height: 900 },
    colorScheme,
  });
  parts.defer(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = listen(page);
  await page.goto(api.url);
  return {
    page,
    api,
    [Symbol.asyncDispose]: async () => {
      await parts.disposeAsync();
      const unexpected = complaints.filter((text) => !expected?.test(text));
      if (unexpected.length > 0) throw new Error(`The page complained: ${unexpected.join('\n')}`);
    },
  };
}

/** Errors of scripts, warnings, and everything the content security policy has refused. */
function listen(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}

let launched: Promise<Browser> | undefined;

/** One for all tests of a file: every test gets a profile of its own in it. */
const theBrowser = () => (launched ??= launchBrowser(CHROMIUM ?? ''));

afterAll(async () => {
  await (await launched)?.close();
});
