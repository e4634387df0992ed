import type { Clock } from '../../clock.ts';
import type { JsonText } from '../../json.ts';
import type { Logger } from '../../log.ts';
import type { PromptFailure, PromptRequest } from '../backend.ts';
import type { PromptStanding } from '../prompt/prompt-watch.ts';
import type { ComfySettings } from '../settings.ts';
import type { ComfyClient } from '../transport/client.ts';
import { withTimeout } from '../transport/request-failure.ts';
import { logTail, outputTail } from './log-tail.ts';
import type { ComfySupervisor } from './supervisor/supervisor.ts';

interface DiagnosisParts {
  readonly client: ComfyClient;
  readonly settings: ComfySettings;
  readonly clock: Clock;
  readonly supervisor: ComfySupervisor | undefined;
  /** Whether ComfyUI answers; nothing is asked when it does not. */
  readonly isUp: boolean;
}

/**
 * The report on a prompt that failed or was given up. Takes at most `limits.diagnosisMs` and does not reject: facts that
 * ComfyUI does not tell are left out.
 */
export async function diagnose(
  standing: PromptStanding,
  { apiKey }: Pick<PromptRequest, 'apiKey'>,
  { client, settings, clock, supervisor, isUp }: DiagnosisParts,
): Promise<PromptFailure> {
  const key = apiKey?.value();
  const secrets = typeof key === 'string' ? [key] : [];
  const postedWallTime = standing.postedAt - clock.now() + clock.wallTime();
  const request = { standing, postedWallTime, limit: settings.failureLogLines, secrets };
  const limit = { ms: settings.limits.diagnosisMs, what: 'the report on a failure', clock };
  const ask = <T>(question: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> =>
    isUp ? withTimeout(limit, question).catch(() => undefined) : Promise.resolve(undefined);
  const [stats, foreignTail] = await Promise.all([
    ask((signal) => client.getInfo('/system_stats', signal)),
    supervisor ? undefined : ask((signal) => logTail(client, request, signal)),
  ]);
  // Output of a ComfyUI of our own comes through a pipe, and may be later than the event that tells of the failure.
  const tail = supervisor ? outputTail(supervisor.lines, request) : foreignTail;
  const { activity, nodeId, nodeTitle, progress } = standing;
  return {
    ...{ activity, nodeId, nodeTitle, progress },
    logTail: tail ?? [],
    versions: versionsIn(stats),
    memory: memoryIn(stats),
  };
}

/** The version of ComfyUI; undefined when it does not tell. */
export async function readVersion(
  client: ComfyClient,
  log: Logger,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const stats = await client.getInfo('/system_stats', signal);
    const version = stats.get('system')?.get('comfyui_version')?.value();
    return typeof version === 'string' ? version : undefined;
  } catch (error) {
    signal.throwIfAborted();
    log.debug({ err: error }, 'Could not read the version of ComfyUI');
    return undefined;
  }
}

function versionsIn(stats: JsonText | undefined): PromptFailure['versions'] {
  const text = (name: string) => {
    const value = stats?.get('system')?.get(name)?.value();
    return typeof value === 'string' ? value.split(' ')[0] : undefined;
  };
  return {
    comfyui: text('comfyui_version'),
    python: text('python_version'),
    pytorch: text('pytorch_version'),
  };
}

/** Of the first device, which is the one that prompts run on. */
function memoryIn(stats: JsonText | undefined): PromptFailure['memory'] {
  const bytes = (part: JsonText | undefined, name: string) => {
    const value = part?.get(name)?.value();
    return typeof value === 'number' ? value : undefined;
  };
  const system = stats?.get('system');
  const device = stats?.get('devices')?.items()[0];
  return {
    ram_total: bytes(system, 'ram_total'),
    ram_free: bytes(system, 'ram_free'),
    vram_total: bytes(device, 'vram_total'),
    vram_free: bytes(device, 'vram_free'),
  };
}
