import { expect, test } from '@jest/globals';
import { startHubSimulator, type HubSimulator } from '../simulator/stand-ins/hugging-face.ts';
import { HuggingFaceRepo, type HuggingFaceSettings } from './hugging-face.ts';
import { never, PIXELS, storedFile } from './test-file.ts';

function repoAt(hub: HubSimulator, changes: Partial<HuggingFaceSettings> = {}, allow = [hub.host]) {
  const settings = { repo: 'me/pictures', token: hub.token, hubUrl: hub.url, ...changes };
  return new HuggingFaceRepo(settings, { allowPrivate: allow, retryDelayMs: 1 });
}

const named = (...filenames: string[]) =>
  filenames.map((filename, index) => storedFile({ filename, index }));

test('all files of a job are one commit, and each address contains the commit', async () => {
  await using hub = await startHubSimulator({ repo: 'me/pictures' });
  await using repo = repoAt(hub);
  const stored = await repo.store(named('a.png', 'b c.png'), never());
  const { oid, summary } = hub.commits[0]!;
  expect([hub.commits.length, summary]).toEqual([1, 'Add files of job job-1']);
  expect(stored).toEqual([
    { address: `${hub.url}/me/pictures/resolve/${oid}/job-1/a.png` },
    { address: `${hub.url}/me/pictures/resolve/${oid}/job-1/b%20c.png` },
  ]);
  for (const one of stored) {
    const answer = await fetch('address' in one ? one.address : '');
    expect(Buffer.from(await answer.arrayBuffer()).equals(PIXELS)).toBe(true);
  }
});

test('large files are sent by Git LFS, and those already uploaded are skipped', async () => {
  await using hub = await startHubSimulator({ repo: 'datasets/me/pictures', largeBytes: 50_000 });
  await using repo = repoAt(hub, { repoType: 'dataset', directory: 'runs/1' });
  const stored = await repo.store(named('a.png'), never());
  expect(stored).toEqual([
    { address: `${hub.url}/datasets/me/pictures/resolve/${hub.commits[0]?.oid}/runs/1/a.png` },
  ]);
  expect(hub.files.get('runs/1/a.png')).toMatchObject({ isLarge: true, size: 70_000 });
  await repo.store(named('a.png'), never());
  expect(hub.requests.filter(({ method }) => method === 'PUT')).toHaveLength(1);
});

test('a hub that is busy is retried', async () => {
  await using hub = await startHubSimulator({ repo: 'me/pictures' });
  await using repo = repoAt(hub);
  hub.failNext({ kind: 'refuse', status: 503 });
  hub.failNext({ kind: 'reset' });
  expect(await repo.store(named('a.png'), never())).toEqual([{ address: expect.any(String) }]);
  expect(hub.commits).toHaveLength(1);
});

test.each([
  [{ token: 'hf_hush' }, 'me/pictures: 401 (the token is not known there)'],
  [{ repo: 'me/nothing' }, /^me\/nothing: 404 \(there is no such repository or branch/],
  [{ revision: 'other' }, /^me\/pictures: 404 /],
  [{ token: 'not a token, hush' }, /^me\/pictures: /],
])('with %j every file has the same problem, and no secret is shown', async (changes, problem) => {
  await using hub = await startHubSimulator({ repo: 'me/pictures' });
  await using repo = repoAt(hub, changes);
  const stored = await repo.store(named('a.png', 'b.png'), never());
  const expected = {
    problem: typeof problem === 'string' ? problem : expect.stringMatching(problem),
  };
  expect(stored).toEqual([expected, expected]);
  expect(JSON.stringify(stored)).not.toContain('hush');
  expect(hub.commits).toHaveLength(0);
});

test.each(['127.0.0.1', 'localhost'])(
  'nothing is sent to %s, which is this machine',
  async (host) => {
    await using hub = await startHubSimulator({ repo: 'me/pictures' });
    await using repo = repoAt(hub, { hubUrl: hub.url.replace('127.0.0.1', host) }, []);
    expect(await repo.store(named('a.png'), never())).toEqual([
      { problem: expect.stringMatching(/is not on the public internet/) },
    ]);
    expect(hub.requests).toHaveLength(0);
  },
);

test('a job that is stopped stops its upload', async () => {
  await using hub = await startHubSimulator({ repo: 'me/pictures' });
  await using repo = repoAt(hub);
  hub.failNext({ kind: 'hang' });
  const stop = new AbortController();
  const arrived = hub.nextRequest();
  const stored = expect(repo.store(named('a.png'), stop.signal)).rejects.toThrow('stopped');
  await arrived;
  stop.abort(new Error('stopped'));
  await stored;
  expect(hub.commits).toHaveLength(0);
});
