import type { Page } from 'playwright-core';
import { openPage, type PageOptions } from '../../../lib/api/page/test/test-page.ts';
import { startApiRig, type ApiRig, type ApiRigOptions } from './api-rig.ts';

/** A real browser on the local API with a real worker and the embedded ComfyUI. */
export interface PageRig extends AsyncDisposable {
  readonly page: Page;
  readonly api: ApiRig;
}

export async function startPageRig(options: PageOptions & ApiRigOptions = {}): Promise<PageRig> {
  const parts = new AsyncDisposableStack();
  const api = parts.use(await startApiRig(options));
  const { page } = parts.use(await openPage(api.url, options));
  return { page, api, [Symbol.asyncDispose]: () => parts.disposeAsync() };
}
