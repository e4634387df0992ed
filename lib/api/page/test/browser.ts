import { existsSync } from 'node:fs';
import type { Browser } from 'playwright-core';

/** Where Chromium is on this machine; undefined when there is none. Used by tests of the page and for pictures of it. */
export function findBrowser(): string | undefined {
  return PLACES.find((path) => existsSync(path));
}

/** A browser that asks nobody for anything but the page. */
export async function launchBrowser(executablePath: string): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath, args: QUIET });
}

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const QUIET = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
