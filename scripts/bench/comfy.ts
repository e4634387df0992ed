import { fork } from 'node:child_process';
import { once } from 'node:events';
import { describeError, errnoOf } from '../../lib/errors.ts';
import type { Picture } from './pictures.ts';

/** A ComfyUI to measure against. */
export interface Comfy extends AsyncDisposable {
  readonly url: string;
  readonly embedded: boolean;
}

/** Starts the embedded one in its own process; port 0 takes any. */
export async function startEmbeddedComfy(port: number): Promise<Comfy> {
  const child = fork(new URL('./embedded-comfy.ts', import.meta.url), [String(port)]);
  const ended = once(child, 'exit');
  const failed = ended.then(([code]) => {
    throw new Error(`The embedded ComfyUI ended with code ${String(code)} before it was up`);
  });
  const [url] = (await Promise.race([once(child, 'message'), failed])) as [string];
  return {
    url,
    embedded: true,
    [Symbol.asyncDispose]: async () => {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

/**
 * One that runs already.
 * @throws Error when nothing, or something else, answers there.
 */
export async function reachComfy(url: string): Promise<Comfy> {
  const response = await fetch(`${url}/system_stats`).catch((error: unknown) => {
    throw new Error(`Nothing answers at ${url} (${errnoOf(error) ?? describeError(error)})`);
  });
  if (!response.ok) throw new Error(`[GET] "${url}/system_stats": ${response.status}`);
  await response.body?.cancel();
  return { url, embedded: false, [Symbol.asyncDispose]: () => Promise.resolve() };
}

/** Puts pictures into ComfyUI's input folder, over older ones of the same name. */
export async function uploadPictures(
  comfyUrl: string,
  pictures: readonly Picture[],
): Promise<void> {
  for (const { name, png } of pictures) {
    const form = new FormData();
    form.set('image', new File([new Uint8Array(png)], name, { type: 'image/png' }));
    form.set('overwrite', 'true');
    const response = await fetch(`${comfyUrl}/upload/image`, { method: 'POST', body: form });
    if (!response.ok) throw new Error(`[POST] "${comfyUrl}/upload/image": ${response.status}`);
    await response.body?.cancel();
  }
}
