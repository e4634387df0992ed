import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { statOf } from '../../lib/processes/process-stat.ts';
import { silentLog } from '../../lib/comfy/test-comfy.ts';
import { FileLedger } from './file-ledger.ts';

/** A disk with the files `a` and `b`, and records of workers. */
async function openPlace() {
  const base = await mkdtemp(join(tmpdir(), 'file-ledger-'));
  const [root, folder] = [join(base, 'disk'), join(base, 'records')];
  await mkdir(root);
  for (const name of ['a', 'b']) await writeFile(join(root, name), name);
  return {
    root,
    folder,
    ledger: () => new FileLedger({ folder, log: silentLog }),
    /** A page of a worker, as it would be on disk. */
    write: async (worker: string, lines: readonly string[], kind = 'files') => {
      await mkdir(join(folder, worker), { recursive: true });
      await writeFile(join(folder, worker, `page.${kind}`), lines.join('\n'));
    },
    line: (path: string, isOwn = true) => JSON.stringify({ root, path, isOwn }),
    files: async () => (await readdir(root)).sort(),
    records: () => readdir(folder).catch(() => []),
    [Symbol.asyncDispose]: () => rm(base, { recursive: true }),
  };
}

const HOST = encodeURIComponent(hostname());
const HEADER = '{"version":1}';
/** This process is alive, but began at another time. */
const KILLED = `${HOST}~${process.pid}~1~x`;

test('files of a killed worker are removed, also when its last line is half written', async () => {
  await using place = await openPlace();
  await place.write(KILLED, [HEADER, place.line('a'), place.line('b').slice(0, -3)]);
  await using ledger = place.ledger();
  await ledger.swept;
  expect(await place.files()).toEqual(['b']);
  expect(await place.records()).toEqual([]);
});

test('a file that was there before the killed worker used it stays', async () => {
  await using place = await openPlace();
  await place.write(KILLED, [HEADER, place.line('a', false), place.line('b')]);
  await using ledger = place.ledger();
  await ledger.swept;
  expect(await place.files()).toEqual(['a']);
});

test.each([
  ['a process that runs', async () => (await statOf(process.pid))?.startedAt ?? '', HOST],
  ['another host', () => Promise.resolve('1'), 'elsewhere'],
])('files that a worker of %s uses stay, and so does its record', async (_, startOf, host) => {
  await using place = await openPlace();
  const living = `${host}~${process.pid}~${await startOf()}~y`;
  await place.write(living, [HEADER, place.line('a', false)]);
  await place.write(KILLED, [HEADER, place.line('a'), place.line('b')]);
  await using ledger = place.ledger();
  await ledger.swept;
  expect(await place.files()).toEqual(['a']);
  expect(await place.records()).toEqual([living]);
});

test('the record of a newer worker and its files are left alone', async () => {
  await using place = await openPlace();
  await place.write(KILLED, ['{"version":2}', place.line('a')]);
  await place.ledger()[Symbol.asyncDispose]();
  expect(await place.files()).toEqual(['a', 'b']);
  expect(await place.records()).toEqual([KILLED]);
});

test('a folder that ComfyUI filled again after the sweep is removed when the worker ends', async () => {
  await using place = await openPlace();
  await mkdir(join(place.root, 'jobs'));
  await mkdir(join(place.root, 'jobs/1'));
  await place.write(KILLED, [HEADER, place.line('jobs/1')], 'folder');
  const ledger = place.ledger();
  await ledger.swept;
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
  await mkdir(join(place.root, 'jobs/1'));
  await ledger[Symbol.asyncDispose]();
  expect(await readdir(join(place.root, 'jobs'))).toEqual([]);
  expect(await place.records()).toEqual([]);
});

test('lines that lead out of their folder remove nothing', async () => {
  await using place = await openPlace();
  const line = JSON.stringify({ root: join(place.root, 'jobs'), path: '../a', isOwn: true });
  await place.write(KILLED, [HEADER, line, 'null', '{"root":1}']);
  await using ledger = place.ledger();
  await ledger.swept;
  expect(await place.files()).toEqual(['a', 'b']);
});

test('a page is on disk from its first line until it is closed', async () => {
  await using place = await openPlace();
  await using ledger = place.ledger();
  const page = ledger.openPage('files');
  await page.add([{ root: place.root, path: 'a', isOwn: true }]);
  const [worker = ''] = await place.records();
  expect(await readdir(join(place.folder, worker))).toHaveLength(1);
  await page.close();
  expect(await readdir(join(place.folder, worker))).toEqual([]);
});

test('a disk that cannot be written costs the record, not the job', async () => {
  await using ledger = new FileLedger({ folder: '/dev/null/records', log: silentLog });
  const page = ledger.openPage('files');
  await page.add([{ root: '/', path: 'a', isOwn: true }]);
  await page.close();
});
