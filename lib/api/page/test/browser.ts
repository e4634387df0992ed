import { existsSync } from 'node:fs';
import type { Browser } from 'playwright-core';

/** Path of Chromium on this machine; undefined if it is not installed. Used by the page's tests and for screenshots. */
export function findBrowser(): string | undefined {
  return PLACES.find((path) => existsSync(path));
}

/** Starts a browser that sends no requests of its own. */
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
