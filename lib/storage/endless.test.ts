import { expect, test } from '@jest/globals';
import { startEndlessServer } from '../http/test-endless.ts';
import { openAzureBlobs } from './azure.ts';
import { HuggingFaceRepo } from './hugging-face.ts';
import { openCallerBucket } from './s3/store.ts';
import type { Storage, Stored } from './storage.ts';
import { never, storedFile } from './test-file.ts';

type Server = Awaited<ReturnType<typeof startEndlessServer>>;
type Store = (server: Server) => Promise<Stored>;

async function putInto(opened: Storage): Promise<Stored> {
  await using storage = opened;
  return await storage.put(storedFile(), never()).then(
    (address) => ({ address }),
    (error: unknown) => ({ problem: String(error) }),
  );
}

const s3: Store = ({ url, host }) => {
  const config = { accessId: 'a', accessSecret: 'b', bucketName: 'pictures', endpointUrl: url };
  return putInto(openCallerBucket(config, { allowPrivate: [host], urlExpiresS: 60 }));
};

const azure: Store = async ({ url, host }) => {
  const options = { allowPrivate: [host], urlExpiresS: 60, retryDelayMs: 1 };
  return await putInto(await openAzureBlobs({ url: `${url}/pictures?sig=x` }, options));
};

const huggingFace: Store = async ({ url, host }) => {
  const settings = { repo: 'me/pictures', token: 'hf_x', hubUrl: url };
  await using repo = new HuggingFaceRepo(settings, { allowPrivate: [host], retryDelayMs: 1 });
  const [stored] = await repo.store([storedFile()], never());
  return stored ?? { problem: 'nothing' };
};

const CASES: [string, Store, number][] = [
  ['S3', s3, 403],
  ['S3', s3, 503],
  ['Azure', azure, 201],
  ['Azure', azure, 403],
  ['Hugging Face', huggingFace, 200],
  ['Hugging Face', huggingFace, 403],
];

test.each(CASES)(
  '%s that answers without end costs no memory: the answer is cut off',
  async (_, store, status) => {
    const contentType = store === huggingFace ? 'application/json' : 'application/xml';
    await using server = await startEndlessServer({ status, contentType });
    const stored = await store(server);
    expect(stored).toHaveProperty('problem');
    // Some more leaves the server than arrives here: the sockets have buffers.
    expect(server.mostBytes).toBeLessThan(12 * 1024 * 1024);
  },
);
