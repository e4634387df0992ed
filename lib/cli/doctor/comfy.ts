import { z } from 'zod';
import { describeError } from '../../errors.ts';
import { under } from '../../http/base-url.ts';
import { getJson } from '../requests.ts';
import { Findings, type Check } from './check.ts';

const StatsSchema = z.object({
  system: z.object({
    comfyui_version: z.string().catch('of unknown version'),
    simulated: z.boolean().optional(),
  }),
  devices: z.array(z.object({ name: z.string(), vram_total: z.number().optional() })).catch([]),
});

const QueueSchema = z.object({
  queue_running: z.array(z.unknown()),
  queue_pending: z.array(z.unknown()),
});

/** Whether ComfyUI answers, its version, and the length of its queue. */
export const comfyCheck: Check = {
  subject: 'ComfyUI',
  look: async ({ config: { COMFY_URL: url }, backend }, signal) => {
    const found = new Findings('ComfyUI');
    try {
      found.ok(
        describeStats(url, StatsSchema.parse(await getJson(under(url, '/system_stats'), signal))),
      );
      const queue = QueueSchema.parse(await getJson(under(url, '/queue'), signal));
      found.ok(
        `queue: ${queue.queue_running.length} running, ${queue.queue_pending.length} waiting`,
      );
      for (const { ability, lack } of ABILITIES) if (!backend[ability]) found.skipped(lack);
    } catch (error) {
      found.broken(describeFailure(url, error), adviceFor(error));
    }
    return found.all;
  },
};

/** Without these, jobs run all the same, but miss something. */
const ABILITIES = [
  {
    ability: 'sharedDisk',
    lack: 'its disk is never shared: files of jobs stay there, and files too large to upload are refused',
  },
  {
    ability: 'freeMemory',
    lack: 'its cache cannot be cleared: files missing from it are not made again',
  },
  { ability: 'nodeProgress', lack: 'it reports no progress of its nodes' },
] as const;

function describeStats(url: string, { system, devices }: z.infer<typeof StatsSchema>): string {
  const version = `${system.comfyui_version}${system.simulated ? ', simulated' : ''}`;
  const all = devices.map(({ name, vram_total: bytes = 0 }) => `${name} with ${gigabytes(bytes)}`);
  return `${version} at ${url}; ${all.join(', ') || 'no device is told'}`;
}

function describeFailure(url: string, error: unknown): string {
  if (!(error instanceof z.ZodError)) return describeError(error);
  return `what answers at ${url} does not speak as ComfyUI does`;
}

function adviceFor(error: unknown): string {
  const text = describeError(error);
  if (text.includes('ECONNREFUSED')) return 'start ComfyUI, or set COMFY_URL to where it listens';
  if (/ENOTFOUND|EAI_AGAIN/.test(text))
    return 'the host in COMFY_URL is not known; check its spelling';
  if (/40[13]/.test(text))
    return 'something in front of ComfyUI asks for a login; use an address inside of it';
  return 'check COMFY_URL, and what ComfyUI says in its own log';
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

/** Loaders list the models that workflows can use. */
const LOADERS = [
  { kind: 'checkpoints', node: 'CheckpointLoaderSimple', input: 'ckpt_name' },
  { kind: 'diffusion models', node: 'UNETLoader', input: 'unet_name' },
  { kind: 'text encoders', node: 'CLIPLoader', input: 'clip_name' },
  { kind: 'VAEs', node: 'VAELoader', input: 'vae_name' },
  { kind: 'LoRAs', node: 'LoraLoader', input: 'lora_name' },
] as const;

/** The models that ComfyUI finds. */
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
      report(found, counts, await foldersOf(url, signal));
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

function report(found: Findings, counts: readonly Count[], folders: readonly string[]): void {
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

/** Empty for ComfyUI before 0.3, which has no such list. */
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
