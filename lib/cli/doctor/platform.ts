import { randomBytes } from 'node:crypto';
import type { Config } from '../../config.ts';
import { describeError } from '../../errors.ts';
import { redactUrl } from '../../http/redact.ts';
import type { Storage } from '../../storage/storage.ts';
import { ask } from '../requests.ts';
import { Findings, type Check } from './check.ts';

/** Whether the variables of RunPod are complete and consistent, and its hosts answer. Takes no job. */
export const platformCheck: Check = {
  subject: 'RunPod',
  look: async ({ config }, signal) => {
    const found = new Findings('RunPod');
    if (config.RUNPOD_WEBHOOK_GET_JOB === undefined) return withoutQueue(config, found);
    checkUrls(config, found);
    checkIdentity(config, found);
    await Promise.all(originsOf(config).map((origin) => tryToReach(origin, found, signal)));
    return found.all;
  },
};

function withoutQueue(config: Config, found: Findings): Findings['all'] {
  if (config.RUNPOD_WEBHOOK_POST_OUTPUT === undefined)
    return found.skipped('not on RunPod: RUNPOD_WEBHOOK_GET_JOB is not set').all;
  return found.broken(
    'RUNPOD_WEBHOOK_POST_OUTPUT is set, RUNPOD_WEBHOOK_GET_JOB is not: no jobs would be taken',
    'set both, as RunPod does, or neither',
  ).all;
}

function checkUrls(config: Config, found: Findings): void {
  const { RUNPOD_WEBHOOK_GET_JOB: take = '', RUNPOD_WEBHOOK_POST_OUTPUT: post } = config;
  if (post === undefined)
    found.broken(
      'RUNPOD_WEBHOOK_POST_OUTPUT is not set: results have nowhere to go',
      'set it as RunPod does, to .../job-done/$RUNPOD_POD_ID/$ID',
    );
  else if (!post.includes('$ID'))
    found.broken(
      'RUNPOD_WEBHOOK_POST_OUTPUT has no $ID: every result would be posted for the same job',
      'put $ID where the id of the job belongs',
    );
  if (!take.includes('/job-take/'))
    found.warning(
      'RUNPOD_WEBHOOK_GET_JOB has no /job-take/: cancelled jobs would run on',
      'check it; the address for stops is made of it',
    );
  if (post !== undefined && new URL(post).host !== new URL(take).host)
    found.warning(
      `jobs come from ${new URL(take).host}, results go to ${new URL(post).host}`,
      'they are the same platform as a rule; check both URLs',
    );
}

function checkIdentity(config: Config, found: Findings): void {
  const heartbeat = ['RUNPOD_WEBHOOK_PING', 'RUNPOD_AI_API_KEY', 'RUNPOD_POD_ID'] as const;
  const missing = heartbeat.filter((name) => config[name] === undefined);
  if (missing.length === 0) found.ok('the variables are complete');
  if (missing.includes('RUNPOD_AI_API_KEY'))
    found.broken(
      'RUNPOD_AI_API_KEY is not set: the platform lets no worker take jobs without a key',
      'set it to the key of this worker',
    );
  const others = missing.filter((name) => name !== 'RUNPOD_AI_API_KEY');
  if (others.length > 0)
    found.warning(
      `${others.join(' and ')} not set: no heartbeat is sent, and the platform may give jobs to another worker`,
      'set what RunPod sets',
    );
}

function originsOf(config: Config): string[] {
  const { RUNPOD_WEBHOOK_GET_JOB: take, RUNPOD_WEBHOOK_POST_OUTPUT: post } = config;
  const urls = [take, post].filter((url) => url !== undefined);
  return [...new Set(urls.map((url) => new URL(url).origin))];
}

/** Any answer is fine: only the connection is checked. */
async function tryToReach(origin: string, found: Findings, signal: AbortSignal): Promise<void> {
  try {
    await ask(origin, signal, 'HEAD');
    found.ok(`${origin} answers`);
  } catch (error) {
    found.broken(describeError(error), 'check the network of this machine, its proxy and its DNS');
  }
}

/** Writes a small file and reads it through the link that a client would get. The file stays, because workers may not delete. */
export const bucketCheck: Check = {
  subject: 'Bucket',
  look: async ({ openWorkerBucket }, signal) => {
    const found = new Findings('Bucket');
    await using storage = await openWorkerBucket();
    if (!storage) return found.skipped('none is set; images are returned in results').all;
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
