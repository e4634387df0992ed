import type { Config } from '../../config.ts';
import { describeError } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';
import { ask } from './get-json.ts';

/** What RunPod sets, whether it belongs together, and whether its hosts answer. No job is taken for that. */
export const platformCheck: Check = {
  subject: 'RunPod',
  look: async ({ config }, signal) => {
    const found = new Findings('RunPod');
    if (config.RUNPOD_WEBHOOK_GET_JOB === undefined) return withoutQueue(config, found);
    judgeUrls(config, found);
    judgeIdentity(config, found);
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

function judgeUrls(config: Config, found: Findings): void {
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

function judgeIdentity(config: Config, found: Findings): void {
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

/** Any answer will do: what counts is that there is a way. */
async function tryToReach(origin: string, found: Findings, signal: AbortSignal): Promise<void> {
  try {
    await ask(origin, signal, 'HEAD');
    found.ok(`${origin} answers`);
  } catch (error) {
    found.broken(describeError(error), 'check the network of this machine, its proxy and its DNS');
  }
}
