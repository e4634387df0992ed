/**
 * Compares the downloader of models with `aria2c -x16 -s16` against a local server that limits each connection, and kills
 * the downloader at random moments. `npm run bench:download -- [--mib 256] [--kills 50]`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { startFileServer } from '../lib/simulator/stand-ins/files.ts';

const { values } = parseArgs({
  options: { mib: { type: 'string', default: '256' }, kills: { type: 'string', default: '50' } },
});
const bytes = Number(values.mib) * 1024 * 1024;
/** Sixteen connections need about four seconds. */
const bytesPerSecond = bytes / 64;
const file = { content: { patternBytes: bytes }, fault: { kind: 'slow', bytesPerSecond } } as const;

await using server = await startFileServer({ files: { '/model.bin': file } });
const url = `${server.url}/model.bin`;
const sha256 = server.sha256('/model.bin');
const folder = await mkdtemp(join(tmpdir(), 'bench-download-'));

/** Starts the command line of the worker. */
function pull(name: string) {
  const words = ['models', 'pull', url, '--folder', name, '--filename', 'model.bin'];
  const args = [resolve('handler/index.ts'), ...words, '--sha256', sha256, '--models', folder];
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: 'ignore',
  });
}

async function seconds(start: () => ReturnType<typeof pull>): Promise<number> {
  const startedAt = performance.now();
  const [code] = (await once(start(), 'exit')) as [number];
  if (code !== 0) throw new Error(`The download ended with exit code ${code}`);
  return (performance.now() - startedAt) / 1000;
}

async function compare(): Promise<void> {
  const idle = await seconds(() => pull('idle')); // there it is fetched, and then it is there
  const start = await seconds(() => pull('idle'));
  console.log(
    `first run ${idle.toFixed(2)} s; the start of the command alone takes ${start.toFixed(2)} s`,
  );
  const ratios: number[] = [];
  for (let round = 0; round < 3; round++) {
    const theirs = await seconds(() =>
      spawn(
        'aria2c',
        ['-x16', '-s16', '-k1M', '-q', '-d', folder, '-o', `aria-${round}.bin`, url],
        {
          stdio: 'ignore',
        },
      ),
    );
    const ours = await seconds(() => pull(`round-${round}`));
    const ratio = (ours - start) / theirs;
    ratios.push(ratio);
    console.log(
      `aria2c ${theirs.toFixed(2)} s, ours ${ours.toFixed(2)} s with start and SHA-256, ratio without the start ${ratio.toFixed(2)}`,
    );
  }
  console.log(`median ratio ${ratios.toSorted((a, b) => a - b)[1]?.toFixed(2)}`);
}

/** Bytes that the server was asked for from request `from` on. */
function requested(from: number): number {
  return server.requests.slice(from).reduce((sum, { headers }) => {
    const [, start, last] = /bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? [];
    return sum + Number(last) - Number(start) + 1;
  }, 0);
}

async function killOften(kills: number): Promise<void> {
  for (let kill = 0; kill < kills; kill++) {
    const before = server.requests.length;
    const child = pull('killed');
    while (server.requests.length === before) await new Promise((next) => setTimeout(next, 20));
    // All kills together take about half of the time that the download needs.
    await new Promise((next) => setTimeout(next, (Math.random() * 4000) / kills));
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  const from = server.requests.length;
  await seconds(() => pull('killed'));
  const hash = createHash('sha256');
  await pipeline(createReadStream(join(folder, 'killed/model.bin')), hash);
  const isRight = hash.digest('hex') === sha256;
  const share = Math.round((100 * requested(from)) / bytes);
  console.log(
    `${kills} kills: the hash is ${isRight ? 'right' : 'WRONG'}; the last run asked for ${share} % of the file`,
  );
  if (!isRight) process.exitCode = 1;
}

try {
  await compare();
  await killOften(Number(values.kills));
} finally {
  await rm(folder, { recursive: true });
}
