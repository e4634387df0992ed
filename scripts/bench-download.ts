/**
 * Compares the downloader of models with `aria2c -x16 -s16` against a local server that limits each connection, and kills
 * the downloader at random places of a file. `npm run bench:download -- [--mib 512] [--pairs 5] [--kill-mib 64] [--kills 50]`
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { pieceBytes } from '../lib/models/fetch/pieces.ts';
import { downloadWithKills } from '../lib/models/test-kills.ts';
import { startFileServer, type FileServer } from '../lib/simulator/stand-ins/files.ts';
import { summarize } from './bench/statistics.ts';

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '512' },
    pairs: { type: 'string', default: '5' },
    'kill-mib': { type: 'string', default: '64' },
    kills: { type: 'string', default: '50' },
  },
});
const MIB = 1024 * 1024;
const CONNECTIONS = 16;
const PATH = '/model.bin';

interface Served {
  readonly server: FileServer;
  readonly url: string;
  readonly sha256: string;
}

/** Sixteen connections need `seconds` for the file. */
async function serve(bytes: number, seconds: number): Promise<Served> {
  const bytesPerSecond = bytes / CONNECTIONS / seconds;
  const file = {
    content: { patternBytes: bytes },
    fault: { kind: 'slow', bytesPerSecond },
  } as const;
  const server = await startFileServer({ files: { [PATH]: file } });
  return { server, url: server.url + PATH, sha256: server.sha256(PATH) };
}

/** Starts the command line of the worker. */
function pull({ url, sha256 }: Served, folder: string): ChildProcess {
  const words = ['models', 'pull', url, '--folder', 'ours', '--sha256', sha256];
  return spawn(process.execPath, [resolve('handler/index.ts'), ...words, '--models', folder], {
    stdio: 'ignore',
    env: { ...process.env, MODEL_CONNECTIONS: String(CONNECTIONS) },
  });
}

function aria2c({ url }: Served, folder: string): ChildProcess {
  const words = ['-x16', '-s16', '-k1M', '--file-allocation=none', '-q', '-d', folder];
  return spawn('aria2c', [...words, '-o', 'theirs.bin', url], { stdio: 'ignore' });
}

/** Seconds from the start of the process to its end, and from its first request to its end. */
async function timed({ server }: Served, start: () => ChildProcess) {
  const before = server.requests.length;
  const startedAt = performance.now();
  let requestedAt = 0;
  const poll = setInterval(() => {
    if (server.requests.length > before) requestedAt ||= performance.now();
  }, 2);
  const [code] = (await once(start(), 'exit')) as [number];
  clearInterval(poll);
  if (code !== 0) throw new Error(`A download ended with exit code ${code}`);
  const endedAt = performance.now();
  return { whole: (endedAt - startedAt) / 1000, transfer: (endedAt - requestedAt) / 1000 };
}

async function inFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-download-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function compare(bytes: number, pairs: number): Promise<void> {
  const served = await serve(bytes, 8);
  await using _server = served.server;
  const run = (start: typeof pull) =>
    inFolder((folder) => timed(served, () => start(served, folder)));
  const ratios: { whole: number; transfer: number }[] = [];
  for (let pair = 0; pair < pairs; pair++) {
    const isOursFirst = pair % 2 === 0;
    const first = await run(isOursFirst ? pull : aria2c);
    const second = await run(isOursFirst ? aria2c : pull);
    const [ours, theirs] = isOursFirst ? [first, second] : [second, first];
    const ratio = {
      whole: ours.whole / theirs.whole,
      transfer: ours.transfer / theirs.transfer,
    };
    ratios.push(ratio);
    console.log(
      `ours ${shown(ours)}, aria2c ${shown(theirs)}, ratio ${shown(ratio)} (whole process, from the first request)`,
    );
  }
  const whole = median(ratios.map((one) => one.whole));
  const transfer = median(ratios.map((one) => one.transfer));
  console.log(`median ratio ${shown({ whole, transfer })}`);
}

const median = (numbers: readonly number[]) => summarize(numbers)?.median ?? NaN;

const shown = ({ whole, transfer }: { whole: number; transfer: number }) =>
  `${whole.toFixed(2)} / ${transfer.toFixed(2)}`;

async function killOften(bytes: number, kills: number): Promise<void> {
  const served = await serve(bytes, 4);
  await using server = served.server;
  await inFolder(async (folder) => {
    const start = () => {
      const child = pull(served, folder);
      const finished = once(child, 'exit').then(([code]) => ({ code: code as number | null }));
      const end = async () => {
        child.kill('SIGKILL');
        await finished;
      };
      return { finished, end };
    };
    const { requested, sent } = await downloadWithKills(start, { server, bytes, kills });
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(folder, 'ours/model.bin')), hash);
    const isRight = hash.digest('hex') === served.sha256;
    const most = bytes + kills * CONNECTIONS * pieceBytes(bytes, CONNECTIONS);
    const perKill = (sent - bytes) / kills / CONNECTIONS / 1024;
    console.log(
      `${kills} kills: the hash is ${isRight ? 'right' : 'WRONG'}; asked for ${inMib(requested)}, at most ${inMib(most)} are allowed; ` +
        `the server sent ${inMib(sent)}, so ${perKill.toFixed(0)} KiB per kill and connection twice`,
    );
    if (!isRight || requested > most) process.exitCode = 1;
  });
}

const inMib = (bytes: number) => `${(bytes / MIB).toFixed(0)} MiB`;

if (Number(values.pairs) > 0) await compare(Number(values.mib) * MIB, Number(values.pairs));
if (Number(values.kills) > 0)
  await killOften(Number(values['kill-mib']) * MIB, Number(values.kills));
