import { z } from 'zod';
import { describeError } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';
import { getJson, under } from './get-json.ts';

/** What a loader lets one choose from: nobody can use a workflow with a model that is not among it. */
const LOADERS = [
  { kind: 'checkpoints', node: 'CheckpointLoaderSimple', input: 'ckpt_name' },
  { kind: 'diffusion models', node: 'UNETLoader', input: 'unet_name' },
  { kind: 'text encoders', node: 'CLIPLoader', input: 'clip_name' },
  { kind: 'VAEs', node: 'VAELoader', input: 'vae_name' },
  { kind: 'LoRAs', node: 'LoraLoader', input: 'lora_name' },
] as const;

/** Which models there are, as ComfyUI sees them. */
export const modelsCheck: Check = {
  subject: 'Models',
  look: async ({ config: { COMFY_URL: url } }, signal) => {
    const found = new Findings('Models');
    try {
      const counts = await Promise.all(
        LOADERS.map(async (loader) => ({
          kind: loader.kind,
          count: (await choicesOf(url, loader, signal)).length,
        })),
      );
      tell(found, counts, await foldersOf(url, signal));
    } catch (error) {
      found.skipped(`ComfyUI does not tell which there are: ${describeError(error)}`);
    }
    return found.all;
  },
};

interface Count {
  readonly kind: string;
  readonly count: number;
}

function tell(found: Findings, counts: readonly Count[], folders: readonly string[]): void {
  const text = counts.map(({ kind, count }) => `${count} ${kind}`).join(', ');
  const [checkpoints, diffusion] = counts;
  if ((checkpoints?.count ?? 0) + (diffusion?.count ?? 0) > 0) found.ok(text);
  else
    found.warning(
      `${text}: there is nothing to sample with`,
      'put model files into ComfyUI/models/checkpoints or diffusion_models (on a network volume: /runpod-volume/models/...), and check extra_model_paths.yaml',
    );
  if (folders.length > 0) found.ok(`${folders.length} folders of models: ${folders.join(', ')}`);
}

interface Loader {
  readonly node: string;
  readonly input: string;
}

async function choicesOf(
  url: string,
  { node, input }: Loader,
  signal: AbortSignal,
): Promise<readonly unknown[]> {
  const info = await getJson(under(url, `/object_info/${node}`), signal);
  const described: unknown = InfoSchema.safeParse(info).data?.[node]?.input.required[input];
  return ChoicesSchema.safeParse(described).data ?? [];
}

/** ComfyUI before 0.3 has no such list. */
async function foldersOf(url: string, signal: AbortSignal): Promise<readonly string[]> {
  try {
    return z.array(z.string()).parse(await getJson(under(url, '/models'), signal));
  } catch {
    return [];
  }
}

const InfoSchema = z.record(
  z.string(),
  z.object({ input: z.object({ required: z.record(z.string(), z.unknown()) }) }),
);

/** `[["a", "b"], {...}]`, or as newer nodes have it `["COMBO", {"options": ["a", "b"]}]`. */
const ChoicesSchema = z.union([
  z.tuple([z.array(z.unknown())], z.unknown()).transform(([choices]) => choices),
  z
    .tuple([z.string(), z.object({ options: z.array(z.unknown()) })], z.unknown())
    .transform(([, { options }]) => options),
]);
