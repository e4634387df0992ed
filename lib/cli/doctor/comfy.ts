import { z } from 'zod';
import { describeError } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';
import { getJson, under } from './get-json.ts';

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

/** Whether ComfyUI answers, which one it is, and how much waits in front of a job. */
export const comfyCheck: Check = {
  subject: 'ComfyUI',
  look: async ({ config: { COMFY_URL: url } }, signal) => {
    const found = new Findings('ComfyUI');
    try {
      found.ok(
        describe(url, StatsSchema.parse(await getJson(under(url, '/system_stats'), signal))),
      );
      const queue = QueueSchema.parse(await getJson(under(url, '/queue'), signal));
      found.ok(
        `queue: ${queue.queue_running.length} running, ${queue.queue_pending.length} waiting`,
      );
    } catch (error) {
      found.broken(whyNot(url, error), adviceFor(error));
    }
    return found.all;
  },
};

function describe(url: string, { system, devices }: z.infer<typeof StatsSchema>): string {
  const version = `${system.comfyui_version}${system.simulated ? ', simulated' : ''}`;
  const all = devices.map(({ name, vram_total: bytes = 0 }) => `${name} with ${gigabytes(bytes)}`);
  return `${version} at ${url}; ${all.join(', ') || 'no device is told'}`;
}

function whyNot(url: string, error: unknown): string {
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
