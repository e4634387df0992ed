import { pino } from 'pino';
import type { Clock } from '../clock.ts';
import { readConfig } from '../config.ts';
import { JsonText } from '../json.ts';
import type { Logger } from '../log.ts';
import { LocalComfy } from './local/local-comfy.ts';
import type { ComfySupervisor } from './local/supervisor/supervisor.ts';
import { comfySettings, LIMITS, type ComfySettings, type Limits } from './settings.ts';

export const silentLog: Logger = pino({ level: 'silent' });

export interface TestSettings extends Partial<Omit<ComfySettings, 'limits' | 'url'>> {
  readonly limits?: Partial<Limits>;
  readonly clock?: Clock;
  readonly log?: Logger;
  readonly supervisor?: ComfySupervisor;
}

/** The worker's defaults, without a pid file and with short pauses between attempts. */
function testSettings(url: string, { limits, ...settings }: TestSettings = {}): ComfySettings {
  return {
    ...comfySettings(readConfig({ COMFY_URL: url })),
    pidFile: '/nonexistent/comfyui.pid',
    availability: { intervalMs: 1, maxRetries: 3, startupTimeoutMs: 10_000 },
    reconnect: { attempts: 3, delayMs: 1 },
    ...settings,
    limits: { ...LIMITS, ...limits },
  };
}

export function openComfy(
  url: string,
  { clock, log = silentLog, supervisor, ...settings }: TestSettings = {},
): LocalComfy {
  return new LocalComfy(testSettings(url, settings), {
    ...{ log, supervisor },
    ...(clock ? { clock } : {}),
  });
}

/** A signal that is never aborted. */
export const never = new AbortController().signal;

export const tinyWorkflow = JsonText.parse(
  '{"1":{"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":0}},' +
    '"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"t"},"_meta":{"title":"Keep it"}}}',
);
