import type { Config } from '../lib/config.ts';
import type { LogOptions, Logger } from '../lib/log.ts';
import type { Arguments } from '../lib/queues/runpod/arguments.ts';

/** What every way to run the program starts from. */
export interface Mode {
  readonly config: Config;
  readonly flags: Arguments;
  readonly log: Logger;
}

/** The platform reads JSON; people at a terminal do not. */
export function logFormat(config: Config): LogOptions['format'] {
  return config.RUNPOD_ENDPOINT_ID === undefined ? 'pretty' : 'json';
}
