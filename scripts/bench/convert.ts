/**
 * Measures `output.convert` with four images of 1024x1024 converted to WebP, as in one job: duration, cores in use, and the
 * longest time the event loop was blocked.
 */
import { availableParallelism } from 'node:os';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import sharp from 'sharp';
import type { Artifact } from '../../handler/outputs/artifact.ts';
import { Converter, converterSettings } from '../../handler/outputs/convert.ts';
import { JobScope } from '../../handler/job-scope.ts';
import { readConfig } from '../../lib/config.ts';
import { createLog } from '../../lib/log.ts';
import { summarize } from './statistics.ts';

const ROUNDS = 10;
const PICTURES = 4;
const RESOLUTION_MS = 1;

interface Round {
  readonly ms: number;
  readonly coresBusy: number;
  readonly longestStallMs: number;
}

await using scope = new JobScope({
  jobId: 'bench',
  signal: new AbortController().signal,
  log: await createLog({ level: 'warn', format: 'pretty' }),
  timeoutMs: 3_600_000,
});
const settings = converterSettings(readConfig({}));
const converter = new Converter(settings);
const artifacts = await makePictures();
await convertAll(); // warm-up; also loads sharp
const rounds: Round[] = [];
for (let round = 0; round < ROUNDS; round++) rounds.push(await measure());

const { conversions } = settings;
console.log(
  `${PICTURES} pictures of 1024 x 1024 to WebP, ${conversions} at once, ${ROUNDS} rounds`,
);
console.log(`cores there are       ${availableParallelism()}`);
console.log(line('ms for all pictures', 'ms'));
console.log(line('cores kept busy', 'coresBusy'));
console.log(line('longest stall in ms', 'longestStallMs'));

async function measure(): Promise<Round> {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const cpu = process.cpuUsage();
  const from = performance.now();
  await convertAll();
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  delay.disable();
  return { ms, coresBusy: (user + system) / 1000 / ms, longestStallMs: delay.max / 1e6 };
}

async function convertAll(): Promise<void> {
  await converter.convert(artifacts, { format: 'webp' }, scope);
  if (scope.problems.length > 0) throw new Error(scope.problems.join('\n'));
}

/** Noise over a smooth background: harder to compress than most images. */
function makePictures(): Promise<readonly Artifact[]> {
  return Promise.all(
    Array.from({ length: PICTURES }, async (_, at) => {
      const noise = { type: 'gaussian', mean: 128, sigma: 20 } as const;
      const create = { width: 1024, height: 1024, channels: 3, background: '#555', noise } as const;
      const bytes = await sharp({ create }).png().toBuffer();
      const place = { nodeId: '9', key: 'images', subfolder: '', type: 'output' };
      const filename = `bench_${at}.png`;
      return { ...place, filename, mediaType: 'image/png', content: new Blob([bytes]) };
    }),
  );
}

function line(label: string, figure: keyof Round): string {
  const summary = summarize(rounds.map((round) => round[figure]));
  if (!summary) return label;
  const [median, p95, max] = [summary.median, summary.p95, summary.max].map((n) => n.toFixed(1));
  return `${label.padEnd(22)}median ${median}, p95 ${p95}, max ${max}`;
}
