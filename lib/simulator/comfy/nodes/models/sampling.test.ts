import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import type { ImageBatch } from '../node.ts';
import { startNodeBench, type NodeBench } from '../../testing/node-bench.ts';
import { plainImage } from '../images/pixels.ts';
import type { Latent } from '../values.ts';

const SEED = 2n ** 64n - 1n;
const EMPTY: Latent = { width: 64, height: 48, batchSize: 1 };
const STANDARD = {
  model: { name: 'sd_xl_base_1.0.safetensors' },
  seed: SEED,
  steps: 4,
  cfg: 7,
  sampler_name: 'euler',
  scheduler: 'normal',
  positive: { text: 'a sunset' },
  negative: { text: '' },
  latent_image: EMPTY,
  denoise: 1,
};

async function sampleWith(bench: NodeBench, changes: object = {}): Promise<Latent> {
  const [latent] = await bench.outputs('KSampler', { ...STANDARD, ...changes });
  return latent as Latent;
}

const pixelsOf = ({ picture }: Latent) => Buffer.from(picture!.frames[0]!).toString('base64');

test('KSampler reports every step with a JPEG preview that gets closer to the picture', async () => {
  await using bench = await startNodeBench();
  const { picture } = await sampleWith(bench);
  expect(bench.steps.map(({ value, max }) => `${value}/${max}`)).toEqual([
    '1/4',
    '2/4',
    '3/4',
    '4/4',
  ]);
  const distances = await Promise.all(
    bench.steps.map(({ preview }) => distance(preview!, picture!)),
  );
  expect(distances).toEqual([...distances].sort((a, b) => b - a));
  expect(distances[0]! / distances[3]!).toBeGreaterThan(3);
});

/** Mean difference between a preview and the picture of the same size. */
async function distance(preview: Uint8Array, picture: ImageBatch): Promise<number> {
  const { format } = await sharp(preview).metadata();
  expect(format).toBe('jpeg');
  const shown = await sharp(preview).raw().toBuffer();
  const sum = shown.reduce(
    (total, value, at) => total + Math.abs(value - picture.frames[0]![at]!),
    0,
  );
  return sum / shown.length;
}

test('a preview is never larger than 256 pixels', async () => {
  await using bench = await startNodeBench();
  await sampleWith(bench, { latent_image: { width: 768, height: 384, batchSize: 1 }, steps: 1 });
  const { width, height } = await sharp(bench.steps[0]!.preview).metadata();
  expect([width, height]).toEqual([256, 128]);
});

test('the same seed, prompt and model give the same picture; changing one of them gives another', async () => {
  await using bench = await startNodeBench();
  const again = [await sampleWith(bench), await sampleWith(bench)].map(pixelsOf);
  expect(again[0]).toBe(again[1]);
  const others = [
    await sampleWith(bench, { seed: SEED - 1n }),
    await sampleWith(bench, { positive: { text: 'a forest' } }),
    await sampleWith(bench, { model: { name: 'other.safetensors' } }),
  ].map(pixelsOf);
  expect(new Set([again[0], ...others]).size).toBe(4);
});

test('all pictures of a batch differ', async () => {
  await using bench = await startNodeBench();
  const { picture } = await sampleWith(bench, { latent_image: { ...EMPTY, batchSize: 3 } });
  expect(new Set(picture!.frames.map((frame) => Buffer.from(frame).toString('base64'))).size).toBe(
    3,
  );
});

test('with denoise below 1 the result resembles the input, less with a higher denoise', async () => {
  await using bench = await startNodeBench();
  const [encoded] = await bench.outputs('VAEEncode', {
    pixels: plainImage(64, 48, 0x20c040),
    vae: {},
  });
  const shares = [0, 0.3, 0.6, 1];
  const results: Latent[] = [];
  for (const denoise of shares) {
    results.push(await sampleWith(bench, { latent_image: encoded, denoise }));
  }
  const distances = results.map((result) => difference(result, encoded as Latent));
  expect(distances[0]).toBe(0);
  expect(distances).toEqual([...distances].sort((a, b) => a - b));
  expect(pixelsOf(results[3]!)).toBe(pixelsOf(await sampleWith(bench)));
});

function difference(one: Latent, other: Latent): number {
  const [a, b] = [one.picture!.frames[0]!, other.picture!.frames[0]!];
  return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]!), 0);
}

test('a decoded picture has the size of its latent and a caption along its lower edge', async () => {
  await using bench = await startNodeBench();
  const samples = await sampleWith(bench, {
    latent_image: { width: 512, height: 256, batchSize: 2 },
  });
  const decoded = await bench.image('VAEDecode', { samples, vae: {} });
  expect(decoded).toMatchObject({ width: 512, height: 256, channels: 3 });
  expect(samples.caption).toEqual([
    'SIMULATED: NO MODEL WAS RUN',
    'sd_xl_base_1.0  seed 18446744073709551615',
  ]);
  for (const [at, frame] of decoded.frames.entries()) {
    const plain = samples.picture!.frames[at]!;
    expect([...frame.slice(0, 512 * 3)]).toEqual([...plain.slice(0, 512 * 3)]);
    const band = frame.slice(-512 * 3 * 20);
    expect(band.filter((value) => value === 0xf2).length).toBeGreaterThan(1000);
  }
});

test('a latent that was never sampled decodes to a plain picture with a caption', async () => {
  await using bench = await startNodeBench();
  const [samples] = await bench.outputs('EmptyLatentImage', {
    width: 100,
    height: 64,
    batch_size: 2,
  });
  const decoded = await bench.image('VAEDecode', { samples, vae: {} });
  expect(decoded).toMatchObject({ width: 96, height: 64 });
  expect(decoded.frames).toHaveLength(2);
});

test('LatentUpscale changes the size of the decoded picture', async () => {
  await using bench = await startNodeBench();
  const samples = await sampleWith(bench, { steps: 1 });
  const [larger] = await bench.outputs('LatentUpscaleBy', {
    samples,
    upscale_method: 'bislerp',
    scale_by: 2,
  });
  expect(await bench.image('VAEDecode', { samples: larger, vae: {} })).toMatchObject({
    width: 128,
    height: 96,
  });
});

test('SamplerCustomAdvanced gives the same picture as KSampler', async () => {
  await using bench = await startNodeBench();
  const { model, positive } = STANDARD;
  const [noise] = await bench.outputs('RandomNoise', { noise_seed: SEED });
  const [guider] = await bench.outputs('BasicGuider', { model, conditioning: positive });
  const [sampler] = await bench.outputs('KSamplerSelect', { sampler_name: 'euler' });
  const [sigmas] = await bench.outputs('BasicScheduler', {
    model,
    scheduler: 'simple',
    steps: 4,
    denoise: 1,
  });
  const parts = { noise, guider, sampler, sigmas, latent_image: EMPTY };
  const [output, denoised] = await bench.outputs('SamplerCustomAdvanced', parts);
  expect(bench.steps).toHaveLength(4);
  expect(denoised).toBe(output);
  expect(pixelsOf(output as Latent)).toBe(pixelsOf(await sampleWith(bench)));
});

test('KSamplerAdvanced runs only its range of steps', async () => {
  await using bench = await startNodeBench();
  const range = { steps: 10, start_at_step: 6, end_at_step: 10000 };
  await bench.outputs('KSamplerAdvanced', { ...STANDARD, noise_seed: 5n, ...range });
  expect(bench.steps).toHaveLength(4);
});

test('an interrupted sampler stops at its current step', async () => {
  const interrupted = new Error('interrupted');
  let steps = 0;
  await using bench = await startNodeBench({
    progress: () => (++steps === 2 ? Promise.reject(interrupted) : Promise.resolve()),
  });
  await expect(sampleWith(bench, { steps: 100 })).rejects.toBe(interrupted);
  expect(steps).toBe(2);
});
