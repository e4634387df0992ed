import { invalidConfig, type Config } from '../../config.ts';
import { isLoopback } from '../../http/public-address.ts';

/** What the API needs to know; times in milliseconds. */
export interface ApiSettings {
  readonly host: string;
  /** 0 is any that is free. */
  readonly port: number;
  /** Undefined: everybody is let in. */
  readonly key: string | undefined;
  /** Origins whose pages may call; `*` is any. */
  readonly corsOrigins: readonly string[];
  readonly rateLimits: boolean;
  readonly maxBytes: Readonly<Record<RunKind, number>>;
  /** How long a job can be asked for after its end. */
  readonly retentionMs: Readonly<Record<RunKind, number>>;
  /** Of a job whose policy names none. */
  readonly executionTimeoutMs: number;
  readonly memory: MemoryLimits;
  readonly allowPrivateWebhooks: boolean;
}

/** How a job was asked for. */
export type RunKind = 'run' | 'runsync';

export interface MemoryLimits {
  /** Ended jobs that are remembered. */
  readonly records: number;
  /** Inputs and outputs of all jobs. */
  readonly bytes: number;
}

/** Where to listen, when a command line says it. */
export interface Place {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

/** @throws WorkerError `config.invalid` when the API would be open to others without anybody having said so. */
export function apiSettings(config: Config, place: Place = {}): ApiSettings {
  const host = place.host ?? config.API_HOST ?? (config.SERVE_API_LOCALLY ? '0.0.0.0' : LOOPBACK);
  const mayBeOpen = config.API_KEY !== undefined || config.API_ALLOW_UNAUTHENTICATED;
  if (!isLoopback(host) && !mayBeOpen) throw invalidConfig([openToOthers(host)]);
  return {
    host,
    port: place.port ?? config.API_PORT,
    key: config.API_KEY,
    corsOrigins: (config.API_CORS_ORIGIN ?? '').split(/[\s,]+/).filter(Boolean),
    rateLimits: config.API_RATE_LIMITS,
    maxBytes: { run: config.API_RUN_MAX_BYTES, runsync: config.API_RUNSYNC_MAX_BYTES },
    retentionMs: {
      run: config.API_RUN_RETENTION_S * 1000,
      runsync: config.API_RUNSYNC_RETENTION_S * 1000,
    },
    executionTimeoutMs: config.JOB_TIMEOUT_S * 1000,
    memory: { records: config.API_MAX_RECORDS, bytes: config.API_MAX_RECORD_BYTES },
    allowPrivateWebhooks: config.API_WEBHOOK_ALLOW_PRIVATE,
  };
}

const openToOthers = (host: string): string =>
  `The local API would listen on ${host}, where others can reach it, and API_KEY is not set: everybody could run workflows here. ` +
  'Set API_KEY, or API_ALLOW_UNAUTHENTICATED=true if something else keeps strangers out';

const LOOPBACK = '127.0.0.1';
