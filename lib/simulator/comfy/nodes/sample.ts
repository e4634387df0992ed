import { basename, extname } from 'node:path';
import type { NodeContext } from '../node.ts';
import { paint, startPreview } from './picture.ts';
import type { Conditioning, Latent, Model, Sigmas } from './values.ts';

/** How long a step takes at speed 1: long enough to be seen, short enough for a demo. */
const STEP_MS = 60;

export interface SampleOptions extends Sigmas {
  readonly model: Model;
  readonly positive: Conditioning;
  readonly seed: bigint;
}

/** Goes through the steps as a sampler does, with a preview at each one. Rejects when the prompt is interrupted. */
export async function sample(
  latent: Latent,
  { model, positive, seed, steps, denoise }: SampleOptions,
  context: NodeContext,
): Promise<Latent> {
  if (steps === 0 || denoise === 0) return latent;
  const picture = await paint(latent, { model, prompt: positive.text, seed, denoise });
  const preview = await startPreview(picture, seed);
  for (let step = 1; step <= steps; step++) {
    await context.work(STEP_MS);
    await context.progress(step, steps, await preview(step / steps));
  }
  return { ...latent, picture, caption: captionOf(model, seed) };
}

function captionOf({ name }: Model, seed: bigint): string[] {
  return ['SIMULATED: NO MODEL WAS RUN', `${basename(name, extname(name))}  seed ${String(seed)}`];
}
