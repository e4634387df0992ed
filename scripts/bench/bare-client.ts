/**
 * The least that a job can cost: a client of ComfyUI without a queue, in its own process. It keeps one socket and one HTTP
 * client, uploads the images, posts the prompt, fetches each output when `executed` announces it, encodes it as base64, and
 * waits for `execution_success`. It handles no error. The bench sends jobs as messages.
 */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { FormData, Pool } from 'undici';
import { WebSocket } from 'ws';
import { z } from 'zod';
import type { BareJob, BareResult } from './bare.ts';

const EventSchema = z.object({
  type: z.string(),
  data: z.object({
    prompt_id: z.string().optional(),
    output: z.object({ images: z.array(z.record(z.string(), z.string())).optional() }).nullish(),
  }),
});
type Event = z.infer<typeof EventSchema>;

const url = process.argv[2] ?? '';
const clientId = randomUUID();
const http = new Pool(url);
const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws?clientId=${clientId}`, {
  perMessageDeflate: false,
});
await once(socket, 'open');
process.on('message', (job: BareJob) => {
  void run(job).then((result) => process.send?.(result));
});
process.once('disconnect', () => process.exit());
process.send?.('ready');

async function run({ workflow, images }: BareJob): Promise<BareResult> {
  const assignedAt = performance.now();
  await Promise.all(images.map(({ name, image }) => upload(name, Buffer.from(image, 'base64'))));
  const promptId = randomUUID();
  const body = JSON.stringify({ prompt: workflow, client_id: clientId, prompt_id: promptId });
  const encoded: Promise<string>[] = [];
  const ended = Promise.withResolvers<undefined>();
  const onMessage = (frame: Buffer, isBinary: boolean) => {
    if (isBinary) return;
    const { type, data } = EventSchema.parse(JSON.parse(frame.toString()));
    if (data.prompt_id !== promptId) return;
    if (type === 'executed') encoded.push(...filesOf(data).map(fetchAsBase64));
    if (type === 'execution_success') ended.resolve(undefined);
  };
  socket.on('message', onMessage);
  const headers = { 'content-type': 'application/json' };
  await (await http.request({ method: 'POST', path: '/prompt', body, headers })).body.dump();
  await ended.promise;
  const files = await Promise.all(encoded);
  const doneAt = performance.now();
  socket.off('message', onMessage);
  const resultBytes = files.reduce((sum, { length }) => sum + length, 0);
  return { ms: doneAt - assignedAt, resultBytes };
}

function filesOf({ output }: Event['data']): readonly Record<string, string>[] {
  return output?.images ?? [];
}

async function fetchAsBase64(file: Record<string, string>): Promise<string> {
  const path = `/view?${new URLSearchParams(file).toString()}`;
  const { body } = await http.request({ method: 'GET', path });
  return Buffer.from(await body.arrayBuffer()).toString('base64');
}

async function upload(name: string, bytes: Buffer<ArrayBuffer>): Promise<void> {
  const form = new FormData();
  form.set('image', new File([bytes], name, { type: 'image/png' }));
  form.set('overwrite', 'true');
  const { body } = await http.request({ method: 'POST', path: '/upload/image', body: form });
  await body.dump();
}
