import { readFile } from 'node:fs/promises';
import type { Config } from '../../config.ts';
import { describeError } from '../../errors.ts';
import { JsonText } from '../../json.ts';
import { recognise } from '../../workflow/recognise.ts';
import { ask } from '../requests.ts';
import { Findings, type Check } from './check.ts';

/** Who starts ComfyUI, when it and the worker are replaced, and whether the warm-up workflows can be read. */
export const upkeepCheck: Check = {
  subject: 'Upkeep',
  look: async ({ config, comfyMemory }, signal) => {
    const found = new Findings('Upkeep');
    describeRestarts(found, config, await comfyMemory());
    const { afterJobs, afterError } = config.REFRESH_WORKER;
    if (afterJobs !== undefined) found.ok(`a fresh worker is asked for after ${afterJobs} jobs`);
    if (afterError) found.ok('a fresh worker is asked for after a job that failed');
    for (const source of config.WARMUP_WORKFLOW) {
      const problem = await problemOf(source, signal);
      if (problem === undefined) found.ok(`warm-up workflow ${source}`);
      else
        found[config.WARMUP_REQUIRED ? 'broken' : 'warning'](
          `warm-up workflow ${source}: ${problem}`,
          'correct WARMUP_WORKFLOW: files or URLs, separated by commas or blanks',
        );
    }
    return found.all;
  },
};

function describeRestarts(found: Findings, config: Config, bytes: number | undefined): void {
  const { COMFY_MAX_RSS_MB: maxMegabytes, COMFY_RESTART_AFTER_JOBS: afterJobs } = config;
  if (config.COMFY_COMMAND === undefined) {
    if (maxMegabytes === undefined && afterJobs === undefined)
      found.skipped('ComfyUI is started by somebody else: the worker cannot restart it');
    else
      found.broken(
        'COMFY_MAX_RSS_MB and COMFY_RESTART_AFTER_JOBS need COMFY_COMMAND',
        'set COMFY_COMMAND, or remove them: only a ComfyUI that the worker has started can be restarted',
      );
    return;
  }
  found.ok(`the worker starts ComfyUI: ${config.COMFY_COMMAND.join(' ')}`);
  if (afterJobs !== undefined) found.ok(`ComfyUI is restarted after ${afterJobs} jobs`);
  if (maxMegabytes === undefined) return;
  const now = bytes === undefined ? 'not known' : `${Math.round(bytes / 1e6)} MB`;
  const text = `ComfyUI is restarted above ${maxMegabytes} MB of memory; it uses: ${now}`;
  if ((bytes ?? 0) <= maxMegabytes * 1e6) found.ok(text);
  else found.warning(text, 'raise COMFY_MAX_RSS_MB, or ComfyUI is restarted after every job');
}

async function problemOf(source: string, signal: AbortSignal): Promise<string | undefined> {
  try {
    const text = /^https?:/i.test(source)
      ? await (await ask(source, signal)).text()
      : await readFile(source, 'utf8');
    const { kind, what } = recognise(JsonText.parse(text));
    return kind === 'other' ? `it is ${what}, not a workflow` : undefined;
  } catch (error) {
    return describeError(error);
  }
}
