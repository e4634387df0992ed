import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../errors.ts';
import { Findings, type Check } from './finding.ts';

/** RunPod's network volume, and whether models lie where ComfyUI is told to look for them. */
export const volumeCheck: Check = {
  subject: 'Volume',
  look: async ({ volume }) => {
    const found = new Findings('Volume');
    const names = await namesIn(volume);
    if (!names) return found.skipped(`no network volume is mounted at ${volume}`).all;
    const models = await namesIn(join(volume, 'models'));
    if (!models) found.warning(`${volume} has no folder "models"`, await adviceFor(volume, names));
    else if (models.length === 0)
      found.warning(
        `${volume}/models is empty`,
        `put models into ${volume}/models/checkpoints, ...`,
      );
    else found.ok(`${volume}/models has ${models.sort().join(', ')}`);
    return found.all;
  },
};

/** A volume filled by a pod has a whole ComfyUI on it. */
async function adviceFor(volume: string, names: readonly string[]): Promise<string> {
  for (const name of names) {
    const inner = await namesIn(join(volume, name, 'models'));
    if (inner) return `there is ${volume}/${name}/models: move it to ${volume}/models`;
  }
  return `put models into ${volume}/models/checkpoints, ...`;
}

/** Undefined when there is no such folder. */
async function namesIn(folder: string): Promise<string[] | undefined> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
