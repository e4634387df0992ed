import { describeError } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { DeviceError } from '../nodes/device-errors.ts';
import type { ComfyClient } from '../transport/client.ts';
import type { ComfySupervisor } from './supervisor/supervisor.ts';

interface CureParts {
  readonly client: ComfyClient;
  /** Without one, nobody here can restart ComfyUI. */
  readonly supervisor: ComfySupervisor | undefined;
  readonly log: Logger;
}

/**
 * Does what helps against an error of the device. Prompts of other jobs that a restart ends are run again, and would have
 * failed otherwise.
 * @returns whether prompts can be run again; false when only another machine helps.
 */
export async function cureDevice(
  { name, remedy }: DeviceError,
  { client, supervisor, log }: CureParts,
  signal: AbortSignal,
): Promise<boolean> {
  log.warn({ device: name, remedy }, 'A node failed because of the device');
  switch (remedy) {
    case 'free memory':
      // ComfyUI does it before the next prompt, or after the one that runs now.
      await client.freeMemory(signal).catch((error: unknown) => {
        signal.throwIfAborted();
        log.warn({ reason: describeError(error) }, 'ComfyUI could not be told to free its memory');
      });
      return true;
    case 'restart':
      if (!supervisor) return false;
      supervisor.restart(`its device is in an error state (${name})`);
      return await supervisor.health.untilUp(signal);
    case 'fresh machine':
      return false;
    case undefined:
      return true;
  }
}
