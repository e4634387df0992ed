/**
 * Prints the files and functions that one warm job passes through, from take to post.
 *
 *     node scripts/trace-job.ts [--image] [--list]
 *
 * The job is the second of two equal ones, so nothing that only happens once is counted. V8 counts the calls; arrow
 * functions inside other functions belong to the function around them and are not counted on their own.
 */
import { readFileSync } from 'node:fs';
import { Session, type Profiler } from 'node:inspector/promises';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loading, pictures, startRig } from '../handler/test/rigs/test-rig.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PIXEL =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==';

interface CalledFunction {
  readonly file: string;
  readonly name: string;
  readonly lines: number;
}

const args = new Set(process.argv.slice(2));
const called = await traceWarmJob(args.has('--image'));
const files = new Map<string, CalledFunction[]>();
for (const one of called) files.set(one.file, [...(files.get(one.file) ?? []), one]);
for (const [file, functions] of [...files].sort(([a], [b]) => a.localeCompare(b))) {
  const names = functions.map(({ name, lines }) => `${name} (${lines})`).join(', ');
  console.log(args.has('--list') ? `${file}: ${names}` : `${file}: ${functions.length}`);
}
const lengths = called.map(({ lines }) => lines).sort((a, b) => a - b);
console.log(
  `\n${called.length} functions in ${files.size} files, median function ${lengths[Math.floor(lengths.length / 2)] ?? 0} lines`,
);
process.exit(0);

/** Runs two equal jobs through platform, worker and ComfyUI on real sockets, and gives what the second one called. */
async function traceWarmJob(withImage: boolean): Promise<CalledFunction[]> {
  await using rig = await startRig({ environment: { CLEANUP: 'auto' } });
  const job = (color: number) => ({
    workflow: withImage ? loading(`pixel-${color}.png`) : pictures({ color }),
    ...(withImage && { images: [{ name: `pixel-${color}.png`, image: PIXEL }] }),
  });
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  await rig.run(job(1));
  await session.post('Profiler.takePreciseCoverage'); // resets the counts
  await rig.run(job(2));
  const { result } = await session.post('Profiler.takePreciseCoverage');
  return result.flatMap(calledIn);
}

function calledIn({ url, functions }: Profiler.ScriptCoverage): CalledFunction[] {
  const file = url.startsWith('file:') ? relative(ROOT, fileURLToPath(url)) : '';
  if (!/^(?:handler|lib)\//.test(file) || /^lib\/simulator|^handler\/test/.test(file)) return [];
  const source = readFileSync(ROOT + file, 'utf8');
  const ranges = functions.flatMap(({ functionName: name, ranges: [range] }) =>
    range && range.count > 0 && range.startOffset > 0 && name !== '' ? [{ name, ...range }] : [],
  );
  const outer = ranges.filter(
    (one) =>
      !ranges.some(
        (other) =>
          other !== one && other.startOffset <= one.startOffset && other.endOffset >= one.endOffset,
      ),
  );
  return outer.map(({ name, startOffset, endOffset }) => ({
    file,
    name,
    lines: source.slice(startOffset, endOffset).split('\n').length,
  }));
}
