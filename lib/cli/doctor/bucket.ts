import { randomBytes } from 'node:crypto';
import { describeError } from '../../errors.ts';
import { redactUrl } from '../../http/redact.ts';
import type { Storage } from '../../storage/storage.ts';
import { Findings, type Check } from './finding.ts';
import { ask } from './get-json.ts';

/** Writes a small file and reads it back through the link a client would get. It stays: workers may not delete. */
export const bucketCheck: Check = {
  subject: 'Bucket',
  look: async ({ openStorage }, signal) => {
    const found = new Findings('Bucket');
    await using storage = await openStorage();
    if (!storage) return found.skipped('none is set; images go back inside of results').all;
    const url = await written(storage, found, signal);
    if (url !== undefined) await readBack(url, found, signal);
    return found.all;
  },
};

const CONTENT = randomBytes(1024);

async function written(
  storage: Storage,
  found: Findings,
  signal: AbortSignal,
): Promise<string | undefined> {
  const content = new Blob([CONTENT]);
  const name = { filename: 'doctor.bin', uniqueName: 'doctor.bin' };
  const file = { jobId: 'doctor', ...name, index: 0, content };
  const startedAt = performance.now();
  try {
    const url = await storage.put({ ...file, mediaType: 'application/octet-stream' }, signal);
    const ms = Math.round(performance.now() - startedAt);
    found.ok(`a file was written in ${ms} ms: ${redactUrl(url)}`);
    return url;
  } catch (error) {
    found.broken(describeError(error), 'check the BUCKET_* variables and the rights of the key');
    return undefined;
  }
}

async function readBack(url: string, found: Findings, signal: AbortSignal): Promise<void> {
  const problem = await problemWith(url, signal);
  if (problem === undefined) found.ok('its link gives the same bytes back');
  else
    found.broken(
      `its link does not work: ${problem}`,
      'clients fetch images by such links: the key needs the right to read, BUCKET_REGION must fit, and the address must be one clients can reach',
    );
}

async function problemWith(url: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const response = await ask(url, signal);
    const bytes = Buffer.from(await response.arrayBuffer());
    if (!response.ok) return `${response.status} ${response.statusText}`;
    return bytes.equals(CONTENT) ? undefined : `other bytes came back (${bytes.length} of them)`;
  } catch (error) {
    return describeError(error);
  }
}
