import { afterAll, test } from '@jest/globals';
import type { Browser, Page } from 'playwright-core';
import { findBrowser, launchBrowser } from './browser.ts';

const CHROMIUM = findBrowser();

/** A test that needs a browser. Without one it is skipped, with a hint what to install. */
export const browserTest = CHROMIUM === undefined ? skipped() : test;

function skipped(): typeof test.skip {
  process.stderr.write(
    'SKIPPED: the page is not tested, there is no Chromium here. On Debian: apt-get install chromium\n',
  );
  return test.skip;
}

export interface PageOptions {
  readonly width?: number;
  readonly colorScheme?: 'light' | 'dark';
  /** Console errors that the test expects; any other error or warning fails it. */
  readonly expected?: RegExp;
}

export interface OpenedPage extends AsyncDisposable {
  readonly page: Page;
}

/** The page in a profile of its own. Its disposal throws if the console had unexpected errors or warnings. */
export async function openPage(
  url: string,
  { width = 1200, colorScheme = 'light', expected }: PageOptions = {},
): Promise<OpenedPage> {
  const viewport = { width, height: 900 };
  const context = await (await theBrowser()).newContext({ viewport, colorScheme });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const complaints = listen(page);
  await page.goto(url);
  return {
    page,
    [Symbol.asyncDispose]: async () => {
      await context.close();
      const unexpected = complaints.filter((text) => !expected?.test(text));
      if (unexpected.length > 0) throw new Error(`The page complained: ${unexpected.join('\n')}`);
    },
  };
}

/** Collects script errors, warnings, and refusals of the content security policy. */
function listen(page: Page): string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  return complaints;
}

/** Opens a file as if the user had chosen it. */
export function chooseFile(page: Page, content: unknown, name = 'workflow.json'): Promise<void> {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  const file = { name, mimeType: 'application/json', buffer: Buffer.from(text) };
  return page.locator('#file').setInputFiles(file);
}

let launched: Promise<Browser> | undefined;

/** One for all tests of a file. */
const theBrowser = () => (launched ??= launchBrowser(CHROMIUM ?? ''));

afterAll(async () => {
  await (await launched)?.close();
});
